import { createHash } from "node:crypto";
import { stringifyPythonJson, type PythonJson } from "../python/python-json.ts";
import {
  isDict,
  PythonError,
  pythonText,
  type PythonDict,
  type PythonValue,
} from "../python/python-values.ts";
import { type NodeValue } from "../nodes/node-values.ts";
import { linkOf } from "./execution-order.ts";

/** The UI output of a node, and the ids that the node had when it ran (PROTOCOL 5, `meta`). */
export interface NodeUi {
  readonly output: PythonJson;
  readonly meta: PythonJson;
}

export interface CachedNode {
  /** A list for each output; of one value unless the output is a list (PROTOCOL-0.28, 3). */
  readonly outputs: readonly (readonly NodeValue[])[];
  readonly ui: NodeUi | undefined;
}

interface Result extends CachedNode {
  /** The key of the node that this node replaced in an expansion; both nodes' results are dropped together. */
  readonly ownerKey: string | undefined;
}

/**
 * Results of the nodes of the last prompt, or of every earlier one, found by the nodes' inputs and not by node id
 * (PROTOCOL 6). Two nodes of one prompt with the same inputs share a result.
 */
export class NodeCache {
  readonly #results = new Map<string, Result>();
  #keys = new Map<string, string>();
  #owners = new Map<string, string>();
  /** Ids of the nodes of expansions, by the key of the node that each expansion replaced. */
  readonly #innerIds = new Map<string, ReadonlySet<string>>();
  #unmatched = 0;
  readonly #keptMin: number;

  /** @param keptMin results to keep although the next prompt does not need them */
  constructor(keptMin: number) {
    this.#keptMin = keptMin;
  }

  /**
   * Starts a prompt, and drops every result for which the prompt has no node.
   * @param fingerprintOf returns the further facts, besides its inputs, that a node depends on, such as the content of
   * a file
   * @throws PythonError for a node without inputs: the server's executor dies of that (PROTOCOL 10)
   */
  enter(graph: PythonDict, fingerprintOf: (nodeId: string) => string): void {
    this.#keys = new Map();
    this.#owners = new Map();
    this.#addKeys(graph.keys(), (nodeId) => graph.get(nodeId), fingerprintOf, "");
    const wanted = new Set(this.#keys.values());
    for (const [key, { ownerKey }] of this.#results) {
      if (this.#results.size <= this.#keptMin) break;
      if (!wanted.has(ownerKey ?? key)) this.#results.delete(key);
    }
    for (const key of this.#innerIds.keys()) if (!wanted.has(key)) this.#innerIds.delete(key);
  }

  /**
   * Adds the nodes of an expansion, which replace another node.
   * @param nodeOf undefined for a node with an input value that never equals another, such as an image; such a node
   * runs each time
   */
  enterInner(
    nodeIds: readonly string[],
    parentId: string,
    nodeOf: (nodeId: string) => PythonDict | undefined,
    fingerprintOf: (nodeId: string) => string,
  ): void {
    const parentKey = this.#keys.get(parentId) ?? parentId;
    const ownerKey = this.#owners.get(parentId) ?? parentKey;
    for (const nodeId of nodeIds) this.#owners.set(nodeId, ownerKey);
    this.#innerIds.set(ownerKey, new Set([...(this.#innerIds.get(ownerKey) ?? []), ...nodeIds]));
    this.#addKeys(nodeIds, nodeOf, fingerprintOf, parentKey);
  }

  get(nodeId: string): CachedNode | undefined {
    return this.#results.get(this.#keys.get(nodeId) ?? "");
  }

  set(nodeId: string, outputs: CachedNode["outputs"], ui: NodeUi | undefined): void {
    const key = this.#keys.get(nodeId);
    if (key !== undefined) this.#results.set(key, { outputs, ui, ownerKey: this.#owners.get(nodeId) });
  }

  nodeIds(): string[] {
    return [...new Set([...this.#keys.keys(), ...[...this.#innerIds.values()].flatMap((ids) => [...ids])])];
  }

  clear(): void {
    this.#results.clear();
    this.#keys.clear();
    this.#innerIds.clear();
  }

  #addKeys(
    nodeIds: Iterable<string>,
    nodeOf: (nodeId: string) => PythonValue | undefined,
    fingerprintOf: (nodeId: string) => string,
    scope: string,
  ): void {
    const resolving = new Set<string>();
    const keyOf = (nodeId: string): string => {
      const known = this.#keys.get(nodeId);
      if (known !== undefined) return known;
      const node = nodeOf(nodeId) ?? null;
      // A link to a missing node, or a cycle, never equals anything.
      if (!isDict(node) || resolving.has(nodeId)) {
        const unmatched = `unmatched ${this.#unmatched++}`;
        if (scope !== "") this.#keys.set(nodeId, unmatched);
        return unmatched;
      }
      resolving.add(nodeId);
      const key = hash(scope + signature(node, fingerprintOf(nodeId), keyOf));
      resolving.delete(nodeId);
      this.#keys.set(nodeId, key);
      return key;
    };
    for (const nodeId of nodeIds) keyOf(nodeId);
  }
}

function signature(node: PythonDict, fingerprint: string, keyOf: (nodeId: string) => string): string {
  const inputs = node.get("inputs");
  if (inputs === undefined) throw new PythonError("KeyError", "'inputs'");
  if (!isDict(inputs)) throw new PythonError("AttributeError", "object has no attribute 'keys'");
  const parts = [pythonText(node.get("class_type") ?? null), fingerprint];
  for (const name of [...inputs.keys()].sort()) {
    const value = inputs.get(name) ?? null;
    const link = linkOf(value);
    parts.push(
      link ? `${name}<-${keyOf(link.source)}#${link.slot}` : `${name}=${stringifyPythonJson(value)}`,
    );
  }
  return parts.join("\n");
}

function hash(text: string): string {
  return createHash("sha1").update(text).digest("base64");
}
