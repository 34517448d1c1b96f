import { type QueueSummary } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import { type QueueOutlook } from "../servers/operator-queue.ts";
import { countServers, type ShownFarm } from "../servers/shown-farm.ts";

type Parts = Pick<ApiDependencies, "jobs" | "ownJobs" | "servers" | "operatorQueue" | "runDurations">;

export const getQueue = route({
  id: "getQueue",
  tag: "farm",
  method: "GET",
  path: "queue",
  access: "read",
  summary: "How many jobs of the tenant wait and run",
  description:
    "Keys of the role operate also see the counts of all tenants, the figures of the farm, and in `outlook` the lanes, " +
    "the tenants, and what each server would take next.",
  answers: { 200: { description: "Counts.", content: json("Queue") } },
  handler: async ({ principal }, parts: Parts) => {
    const { jobs, ownJobs, servers, operatorQueue, runDurations } = parts;
    const [summary, farm] = await Promise.all([ownJobs(principal).summarizeQueue(), servers.farm()]);
    const pausedSince = farm.pause?.pausedAt.toISOString() ?? null;
    const own = { ...viewOfSummary(summary), pausedSince };
    if (principal.role !== "operate") return { json: own };
    const [all, outlook, estimates] = await Promise.all([
      jobs.summarizeQueue(),
      operatorQueue.look(),
      runDurations.readEstimateError(),
    ]);
    const ofFarm = { ...viewOfFarm(farm), estimates, outlook: viewOfOutlook(outlook) };
    const ofAll = { allTenants: viewOfSummary(all), ...ofFarm };
    return { json: { ...own, ...ofAll } };
  },
});

function viewOfSummary({
  counts,
  lanes,
  oldestQueuedAt,
}: QueueSummary): Pick<AnswerOf<"Queue">, "counts" | "lanes" | "oldestQueuedAt"> {
  return { counts, lanes, oldestQueuedAt: oldestQueuedAt?.toISOString() ?? null };
}

function viewOfFarm(farm: ShownFarm): Pick<AnswerOf<"Queue">, "servers" | "workers"> {
  const { workersAlive, storageHolds } = farm;
  return { servers: countServers(farm), workers: { alive: workersAlive, withoutRoom: storageHolds.length } };
}

function viewOfOutlook({ lanes, lanesCount, tenants, servers }: QueueOutlook): AnswerOf<"Queue">["outlook"] {
  return {
    ...{ lanesCount, tenants },
    lanes:
      lanes?.map(({ waitingSince, lastServedAt, pausedSince, ...lane }) => ({
        ...lane,
        waitingSince: waitingSince.toISOString(),
        lastServedAt: lastServedAt?.toISOString() ?? null,
        pausedSince: pausedSince?.toISOString() ?? null,
      })) ?? null,
    servers: servers.map(({ modelSince, ...server }) => ({
      ...server,
      modelSince: modelSince?.toISOString() ?? null,
    })),
  };
}
