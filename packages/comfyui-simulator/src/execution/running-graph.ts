import { type PythonJson } from "../python/python-json.ts";
import { type Expansion } from "../nodes/node-run.ts";
import { type NodeValue } from "../nodes/node-values.ts";
import { isDict, type PythonDict, type PythonValue } from "../python/python-values.ts";

interface Origin {
  readonly parentId: string;
  readonly displayId: string;
}

/** The graph of a prompt while it runs: a node may be replaced by an expansion, whose nodes get ids of their own. */
export class RunningGraph {
  readonly #sent: PythonDict;
  readonly #inner = new Map<string, PythonDict>();
  readonly #origins = new Map<string, Origin>();
  readonly #values = new Map<string, ReadonlyMap<string, NodeValue>>();

  constructor(sent: PythonDict) {
    this.#sent = sent;
  }

  node(nodeId: string): PythonDict | undefined {
    const node = this.#inner.get(nodeId) ?? this.#sent.get(nodeId) ?? null;
    return isDict(node) ? node : undefined;
  }

  ids(): string[] {
    return [...this.#sent.keys(), ...this.#inner.keys()];
  }

  /** Adds the nodes of an expansion under ids such as `2.0.0.1`. @returns their ids */
  addInner(parentId: string, callIndex: number, { nodes }: Expansion): string[] {
    const idOf = (inner: string): string => innerId(parentId, callIndex, inner);
    for (const [inner, { className, inputs }] of nodes) {
      const plainInputs = [...inputs].map(([name, value]): [string, PythonValue] => {
        if ("inner" in value) return [name, [idOf(value.inner), value.slot]];
        return [name, value.kind === "plain" ? value.value : `<${value.kind}>`];
      });
      const values = [...inputs].flatMap(([name, value]): [string, NodeValue][] =>
        "inner" in value || value.kind === "plain" ? [] : [[name, value]],
      );
      const id = idOf(inner);
      this.#values.set(id, new Map(values));
      this.#inner.set(
        id,
        new Map<string, PythonValue>([
          ["class_type", className],
          ["inputs", new Map(plainInputs)],
        ]),
      );
      this.#origins.set(id, { parentId, displayId: parentId });
    }
    return [...nodes.keys()].map(idOf);
  }

  /** A value that an inner node received directly, and not over a link. */
  valueOf(nodeId: string, input: string): NodeValue | undefined {
    return this.#values.get(nodeId)?.get(input);
  }

  hasRawValues(nodeId: string): boolean {
    return (this.#values.get(nodeId)?.size ?? 0) > 0;
  }

  parentOf(nodeId: string): string | undefined {
    return this.#origins.get(nodeId)?.parentId;
  }

  /** The node that a user sees in place of this one. */
  displayIdOf(nodeId: string): string {
    const origin = this.#origins.get(nodeId);
    return origin ? this.displayIdOf(origin.displayId) : nodeId;
  }

  /** The node of the submitted graph from which this one came. */
  realIdOf(nodeId: string): string {
    const parentId = this.parentOf(nodeId);
    return parentId === undefined ? nodeId : this.realIdOf(parentId);
  }

  /** The origin of an output, as the history keeps it (PROTOCOL 5, `meta`). */
  metaOf(nodeId: string): PythonJson {
    return {
      node_id: nodeId,
      display_node: this.displayIdOf(nodeId),
      parent_node: this.parentOf(nodeId) ?? null,
      real_node_id: this.realIdOf(nodeId),
    };
  }
}

export function innerId(parentId: string, callIndex: number, inner: string): string {
  return `${parentId}.${callIndex}.0.${inner}`;
}
