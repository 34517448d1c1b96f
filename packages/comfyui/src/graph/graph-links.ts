import { linkOf, type Workflow } from "./workflow.ts";

/** Returns the ids of the nodes that a node has links to, whether the graph has those nodes or not. */
export type LinksOf = (nodeId: string) => string[];

/** Every link that a server follows while it runs a graph, declared by the node's class or not (`graph.py`, `add_node`). */
export function allLinks(workflow: Workflow): LinksOf {
  return (nodeId) =>
    Object.values(workflow[nodeId]?.inputs ?? {}).flatMap((value) => linkOf(value)?.nodeId ?? []);
}

/**
 * The same links, with each node's links found only once: a node may have a hundred thousand inputs, and a graph is
 * walked several times.
 */
export function rememberedLinks(linksOf: LinksOf): LinksOf {
  const known = new Map<string, string[]>();
  return (nodeId) => {
    const links = known.get(nodeId) ?? linksOf(nodeId);
    known.set(nodeId, links);
    return links;
  };
}

/** The nodes that some of `outputIds` depend on, those included: the server ignores all others (PROTOCOL 2). */
export function neededBy(workflow: Workflow, outputIds: readonly string[], linksOf: LinksOf): Set<string> {
  const needed = new Set<string>();
  const waiting = [...outputIds];
  for (let nodeId = waiting.pop(); nodeId !== undefined; nodeId = waiting.pop()) {
    if (needed.has(nodeId) || !Object.hasOwn(workflow, nodeId)) continue;
    needed.add(nodeId);
    for (const linked of linksOf(nodeId)) waiting.push(linked);
  }
  return needed;
}

/** Nodes whose results no other node takes: without object info, any of them may be an output. */
export function sinksOf(workflow: Workflow, linksOf: LinksOf): string[] {
  const linked = new Set(Object.keys(workflow).flatMap((nodeId) => linksOf(nodeId)));
  return Object.keys(workflow).filter((nodeId) => !linked.has(nodeId));
}

/** One cycle among the given nodes, as the ids along it (`["2", "4", "2"]`), if there is any. */
export function findCycle(
  workflow: Workflow,
  among: ReadonlySet<string>,
  linksOf: LinksOf,
): string[] | undefined {
  const finished = new Set<string>();
  for (const start of among) {
    const cycle = walk(workflow, start, finished, linksOf);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** Walks depth first with an explicit stack, because a long chain of nodes would overflow the call stack. */
function walk(
  workflow: Workflow,
  start: string,
  finished: Set<string>,
  linksOf: LinksOf,
): string[] | undefined {
  if (finished.has(start)) return undefined;
  const path: { nodeId: string; next: string[] }[] = [{ nodeId: start, next: [...linksOf(start)] }];
  const onPath = new Set([start]);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = top.next.pop();
    if (child === undefined) {
      finished.add(top.nodeId);
      onPath.delete(top.nodeId);
      path.pop();
    } else if (onPath.has(child)) {
      const ids = path.map(({ nodeId }) => nodeId);
      return [...ids.slice(ids.indexOf(child)), child];
    } else if (!finished.has(child) && Object.hasOwn(workflow, child)) {
      path.push({ nodeId: child, next: [...linksOf(child)] });
      onPath.add(child);
    }
  }
  return undefined;
}

/**
 * The nodes that cannot run, whichever node turns out to be an output: those that depend on a node that is not there,
 * or on themselves. Without definitions, a graph is certain to fail only if all its nodes are among these.
 */
export function brokenNodes(workflow: Workflow, linksOf: LinksOf): Set<string> {
  const usedBy = new Map<string, string[]>();
  const missing = new Map<string, number>();
  for (const nodeId of Object.keys(workflow)) {
    const linked = new Set(linksOf(nodeId));
    missing.set(nodeId, linked.size);
    for (const source of linked) {
      const users = usedBy.get(source);
      if (users === undefined) usedBy.set(source, [nodeId]);
      else users.push(nodeId);
    }
  }
  // The nodes that can run, in a possible order of execution: first the nodes without links, then the nodes that need
  // only those, and so on.
  const ready = [...missing].flatMap(([nodeId, count]) => (count === 0 ? nodeId : []));
  const broken = new Set(Object.keys(workflow));
  for (let nodeId = ready.pop(); nodeId !== undefined; nodeId = ready.pop()) {
    broken.delete(nodeId);
    for (const user of usedBy.get(nodeId) ?? []) {
      const left = (missing.get(user) ?? 0) - 1;
      missing.set(user, left);
      if (left === 0) ready.push(user);
    }
  }
  return broken;
}
