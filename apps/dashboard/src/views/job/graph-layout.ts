/** A node of a ComfyUI graph, as far as a person wants to see it. */
export interface GraphNode {
  readonly id: string;
  readonly classType: string;
  /** What its maker called it, or its class. */
  readonly title: string;
  /** The nodes whose outputs it reads, without repetition. */
  readonly needs: readonly string[];
}

/** The nodes of a graph in API format, in an order in which each stands after those that it needs. */
export function nodesOf(workflow: Readonly<Record<string, unknown>>): GraphNode[] {
  const known = new Set(Object.keys(workflow));
  const nodes = Object.entries(workflow).flatMap(([id, node]) =>
    isObject(node) ? [readNode(id, node, known)] : [],
  );
  return inOrder(nodes);
}

function readNode(id: string, node: Record<string, unknown>, known: ReadonlySet<string>): GraphNode {
  const classType = typeof node["class_type"] === "string" ? node["class_type"] : "?";
  const meta = node["_meta"];
  const title = isObject(meta) && typeof meta["title"] === "string" ? meta["title"].trim() : "";
  const inputs = isObject(node["inputs"]) ? Object.values(node["inputs"]) : [];
  const needs = inputs.flatMap((input) => linkOf(input) ?? []).filter((needed) => known.has(needed));
  return { id, classType, title: title === "" ? classType : title, needs: [...new Set(needs)] };
}

/** A link is written as `[id of the node, number of its output]`. */
function linkOf(input: unknown): string | undefined {
  if (!Array.isArray(input) || input.length !== 2 || typeof input[1] !== "number") return undefined;
  const id: unknown = input[0];
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}

/** Nodes of a cycle, which no server runs, come last. */
function inOrder(nodes: readonly GraphNode[]): GraphNode[] {
  const open = new Map(nodes.map(({ id, needs }) => [id, needs.length]));
  const readers = new Map<string, GraphNode[]>();
  for (const node of nodes) for (const id of node.needs) readers.set(id, [...(readers.get(id) ?? []), node]);
  const ordered = nodes.filter(({ needs }) => needs.length === 0);
  for (const { id } of ordered) {
    for (const reader of readers.get(id) ?? []) {
      const left = (open.get(reader.id) ?? 0) - 1;
      open.set(reader.id, left);
      if (left === 0) ordered.push(reader);
    }
  }
  const placed = new Set(ordered);
  return [...ordered, ...nodes.filter((node) => !placed.has(node))];
}

export type NodeState = "waiting" | "running" | "done" | "failed";

/** What is known of a job's run. */
export interface RunFacts {
  readonly status: string;
  readonly phase: string | null;
  readonly runningNode: string | null;
  readonly failedNode: string | null;
  /** Nodes that were seen running before this one, in the same attempt. */
  readonly seen: ReadonlySet<string>;
}

/**
 * The state of each node. The server says which node runs: those that it needs are done then. A node on another branch counts as
 * waiting until it was seen running.
 */
export function statesOf(nodes: readonly GraphNode[], facts: RunFacts): Map<string, NodeState> {
  const { status, phase, runningNode, failedNode, seen } = facts;
  if (status === "completed" || phase === "saving") return new Map(nodes.map(({ id }) => [id, "done"]));
  const states = new Map<string, NodeState>(nodes.map(({ id }) => [id, "waiting"]));
  const known = new Map(nodes.map((node) => [node.id, node]));
  const markDone = (first: string): void => {
    const open = [first];
    for (const id of open) {
      if (states.get(id) === "done" || !known.has(id)) continue;
      states.set(id, "done");
      open.push(...(known.get(id)?.needs ?? []));
    }
  };
  const isRunning = status === "processing" && phase === "executing";
  // A job that waits for its next attempt begins anew: only the failure of the last one is shown.
  const last = isRunning ? runningNode : failedNode;
  if (isRunning) for (const id of seen) markDone(id);
  if (last !== null) {
    for (const needed of known.get(last)?.needs ?? []) markDone(needed);
    if (known.has(last)) states.set(last, isRunning ? "running" : "failed");
  }
  return states;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
