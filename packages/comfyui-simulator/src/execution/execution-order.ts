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

/**
 * Which node runs next. Nodes are registered from the outputs upwards, depth first, the last link of a node first; of
 * the nodes that are ready, an output goes first, then what an output waits for, then what that waits for, and
 * otherwise the one registered first. That is the order seen on the real server (PROTOCOL 3).
 */
export class ExecutionOrder {
  private readonly graph: PythonDict;
  private readonly isCached: (nodeId: string) => boolean;
  private readonly isOutput: (nodeId: string) => boolean;
  private readonly pending = new Set<string>();
  private readonly waitsFor = new Map<string, number>();
  private readonly feeds = new Map<string, Set<string>>();

  constructor(
    graph: PythonDict,
    isCached: (nodeId: string) => boolean,
    isOutput: (nodeId: string) => boolean,
  ) {
    this.graph = graph;
    this.isCached = isCached;
    this.isOutput = isOutput;
  }

  get isEmpty(): boolean {
    return this.pending.size === 0;
  }

  add(outputId: string): void {
    const stack = [outputId];
    const links: { source: string; target: string }[] = [];
    for (let nodeId = stack.pop(); nodeId !== undefined; nodeId = stack.pop()) {
      if (this.pending.has(nodeId)) continue;
      this.pending.add(nodeId);
      this.waitsFor.set(nodeId, 0);
      this.feeds.set(nodeId, new Set());
      for (const value of inputsOf(this.graph.get(nodeId)).values()) {
        const link = linkOf(value);
        if (link === undefined || this.isCached(link.source)) continue;
        stack.push(link.source);
        links.push({ source: link.source, target: nodeId });
      }
    }
    for (const { source, target } of links) {
      const targets = this.feeds.get(source);
      if (targets === undefined || targets.has(target)) continue;
      targets.add(target);
      this.waitsFor.set(target, (this.waitsFor.get(target) ?? 0) + 1);
    }
  }

  /** The node to run now; undefined when every remaining node waits for another (a cycle) or none is left. */
  next(): string | undefined {
    const ready = [...this.pending].filter((nodeId) => this.waitsFor.get(nodeId) === 0);
    const feedsOutput = (nodeId: string): boolean => this.targetsOf(nodeId).some((id) => this.isOutput(id));
    return (
      ready.find((nodeId) => this.isOutput(nodeId)) ??
      ready.find(feedsOutput) ??
      ready.find((nodeId) => this.targetsOf(nodeId).some(feedsOutput)) ??
      ready[0]
    );
  }

  done(nodeId: string): void {
    this.pending.delete(nodeId);
    for (const target of this.targetsOf(nodeId)) {
      this.waitsFor.set(target, (this.waitsFor.get(target) ?? 1) - 1);
    }
    this.feeds.delete(nodeId);
  }

  private targetsOf(nodeId: string): string[] {
    return [...(this.feeds.get(nodeId) ?? [])];
  }
}
