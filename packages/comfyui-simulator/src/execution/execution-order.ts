import { isDict, PythonFloat, type PythonDict, type PythonValue } from "../python/python-values.ts";

/** An input that takes the output of another node: `[node id, output slot]`. */
export interface Link {
  readonly source: string;
  readonly slot: number;
}

/** Whether an input's value is a link, by the server's own test. */
export function linkOf(value: PythonValue): Link | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [source, slot] = value;
  if (typeof source !== "string") return undefined;
  if (typeof slot === "number") return { source, slot };
  if (typeof slot === "boolean") return { source, slot: Number(slot) };
  return slot instanceof PythonFloat ? { source, slot: slot.value } : undefined;
}

export function inputsOf(node: PythonValue | undefined): PythonDict {
  const inputs = isDict(node ?? null) ? (node as PythonDict).get("inputs") : undefined;
  return isDict(inputs ?? null) ? (inputs as PythonDict) : new Map<string, PythonValue>();
}

/** The facts about nodes, besides their links, that decide the order. */
export interface OrderedGraph {
  readonly inputsOf: (nodeId: string) => PythonDict;
  readonly isCached: (nodeId: string) => boolean;
  readonly isOutput: (nodeId: string) => boolean;
  /** Whether the node is asynchronous; such a node starts as early as possible, since other nodes run beside it. */
  readonly isAsync: (nodeId: string) => boolean;
  /** Whether the input is lazy: the linked node runs only if this node asks for it. */
  readonly isLazy: (nodeId: string, input: string) => boolean;
}

/**
 * Decides which node runs next. Nodes are registered from the outputs upwards, depth first, the last link of a node
 * first. Among the nodes that are ready, the first choice is an output or an asynchronous node, then a node that an
 * output waits for, then a node that such a node waits for, and otherwise the node that was registered first. This is
 * the order that was seen on the real server (PROTOCOL 3).
 */
export class ExecutionOrder {
  readonly #graph: OrderedGraph;
  readonly #pending = new Set<string>();
  readonly #waitsFor = new Map<string, number>();
  readonly #feeds = new Map<string, Set<string>>();

  constructor(graph: OrderedGraph) {
    this.#graph = graph;
  }

  get isEmpty(): boolean {
    return this.#pending.size === 0;
  }

  add(outputId: string): void {
    const stack = [outputId];
    const links: { source: string; target: string }[] = [];
    for (let nodeId = stack.pop(); nodeId !== undefined; nodeId = stack.pop()) {
      if (this.#pending.has(nodeId)) continue;
      this.#pending.add(nodeId);
      this.#waitsFor.set(nodeId, 0);
      this.#feeds.set(nodeId, new Set());
      for (const [name, value] of this.#graph.inputsOf(nodeId)) {
        const link = linkOf(value);
        if (link === undefined || this.#graph.isCached(link.source) || this.#graph.isLazy(nodeId, name))
          continue;
        stack.push(link.source);
        links.push({ source: link.source, target: nodeId });
      }
    }
    for (const { source, target } of links) this.#connect(source, target);
  }

  /** Makes a node wait for another one, which is registered if it must still run. */
  addLink(source: string, target: string): void {
    if (this.#graph.isCached(source)) return;
    this.add(source);
    this.#connect(source, target);
  }

  /** Makes a node wait for something outside the graph, until `unblock`. */
  block(nodeId: string): void {
    this.#waitsFor.set(nodeId, (this.#waitsFor.get(nodeId) ?? 0) + 1);
  }

  unblock(nodeId: string): void {
    this.#waitsFor.set(nodeId, (this.#waitsFor.get(nodeId) ?? 1) - 1);
  }

  /** The node to run now; undefined when every remaining node waits for another (a cycle) or none is left. */
  next(): string | undefined {
    const ready = [...this.#pending].filter((nodeId) => this.#waitsFor.get(nodeId) === 0);
    const feedsOutput = (nodeId: string): boolean =>
      this.#targetsOf(nodeId).some((id) => this.#graph.isOutput(id));
    return (
      ready.find((nodeId) => this.#graph.isOutput(nodeId) || this.#graph.isAsync(nodeId)) ??
      ready.find(feedsOutput) ??
      ready.find((nodeId) => this.#targetsOf(nodeId).some(feedsOutput)) ??
      ready[0]
    );
  }

  done(nodeId: string): void {
    this.#pending.delete(nodeId);
    for (const target of this.#targetsOf(nodeId)) this.unblock(target);
    this.#feeds.delete(nodeId);
  }

  #connect(source: string, target: string): void {
    const targets = this.#feeds.get(source);
    if (targets === undefined || targets.has(target)) return;
    targets.add(target);
    this.block(target);
  }

  #targetsOf(nodeId: string): string[] {
    return [...(this.#feeds.get(nodeId) ?? [])];
  }
}
