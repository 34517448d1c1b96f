import type { Workflow } from "./workflow.ts";
import { linkOf } from "./workflow.ts";

/** The ids that a node's links name, present or not. */
function linkedFrom(workflow: Workflow, nodeId: string): string[] {
  return Object.values(workflow[nodeId]?.inputs ?? {}).flatMap((value) => linkOf(value)?.nodeId ?? []);
}

/** The nodes that some of `outputIds` depend on, those included: the server looks at no others (PROTOCOL 2). */
export function neededBy(workflow: Workflow, outputIds: readonly string[]): Set<string> {
  const needed = new Set<string>();
  const waiting = [...outputIds];
  for (let nodeId = waiting.pop(); nodeId !== undefined; nodeId = waiting.pop()) {
    if (needed.has(nodeId) || !Object.hasOwn(workflow, nodeId)) continue;
    needed.add(nodeId);
    waiting.push(...linkedFrom(workflow, nodeId));
  }
  return needed;
}

/** Nodes whose results no other node takes: without object info, any of them may be an output. */
export function sinksOf(workflow: Workflow): string[] {
  const linked = new Set(Object.keys(workflow).flatMap((nodeId) => linkedFrom(workflow, nodeId)));
  return Object.keys(workflow).filter((nodeId) => !linked.has(nodeId));
}

/** One cycle among the given nodes, as the ids along it (`["2", "4", "2"]`), if there is any. */
export function findCycle(workflow: Workflow, among: ReadonlySet<string>): string[] | undefined {
  const finished = new Set<string>();
  for (const start of among) {
    const cycle = walk(workflow, start, finished);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** Depth first with a stack of its own: a long chain must not overflow ours. */
function walk(workflow: Workflow, start: string, finished: Set<string>): string[] | undefined {
  if (finished.has(start)) return undefined;
  const path: { nodeId: string; next: string[] }[] = [{ nodeId: start, next: linkedFrom(workflow, start) }];
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
      path.push({ nodeId: child, next: linkedFrom(workflow, child) });
      onPath.add(child);
    }
  }
  return undefined;
}
