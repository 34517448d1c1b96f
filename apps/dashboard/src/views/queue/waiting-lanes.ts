import { type paths } from "@genga/client";

type Queue = paths["/api/anime/queue"]["get"]["responses"][200]["content"]["application/json"];
type Outlook = NonNullable<NonNullable<Queue["outlook"]>["lanes"]>[number];

/** A lane as it is shown. What only operators see is `outlook`. */
export interface ShownLane {
  readonly lane: string;
  readonly queued: number;
  readonly processing: number;
  readonly outlook: Outlook | undefined;
}

/** All lanes that are known, those with the most waiting jobs first. */
export function lanesOf(queue: Queue): ShownLane[] {
  const counted = new Map((queue.allTenants ?? queue).lanes.map((lane) => [lane.lane, lane]));
  const outlooks = new Map(queue.outlook?.lanes?.map((lane) => [lane.lane, lane]));
  return [...new Set([...counted.keys(), ...outlooks.keys()])]
    .map((lane) => ({
      lane,
      queued: counted.get(lane)?.queued ?? outlooks.get(lane)?.waiting ?? 0,
      processing: counted.get(lane)?.processing ?? 0,
      outlook: outlooks.get(lane),
    }))
    .toSorted((one, other) => other.queued - one.queued || one.lane.localeCompare(other.lane));
}

/** What keeps all jobs from beginning, most important first. */
export function obstacles({ pausedSince, servers, workers, outlook, counts }: Queue): string[] {
  if (counts.queued === 0 && (outlook?.lanesCount ?? 0) === 0) return [];
  return [
    pausedSince !== null && "The farm is paused: nothing new begins until an operator resumes it.",
    workers?.alive === 0 && "No worker is alive. Start one with: npm run worker.",
    workers !== undefined &&
      workers.alive > 0 &&
      workers.withoutRoom >= workers.alive &&
      "No worker can store outputs: the disk is nearly full, or the storage is away. Once there is room, they go on by themselves.",
    servers?.total === 0 && "No server is known. Name your ComfyUI servers in COMFYUI_URLS.",
    servers !== undefined &&
      servers.total > 0 &&
      servers.online === 0 &&
      "No server is online; the page Servers says why.",
    outlook?.lanes === null && "Redis cannot be reached. Jobs wait safely, and go on once it is back.",
  ].filter((text) => text !== false);
}
