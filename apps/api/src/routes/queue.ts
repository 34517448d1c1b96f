import { type QueueSummary } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import { countServers, type ShownFarm } from "../servers/shown-farm.ts";

export const getQueue = route({
  id: "getQueue",
  tag: "farm",
  method: "GET",
  path: "queue",
  access: "read",
  summary: "How many jobs of the tenant wait and run",
  description: "Keys of the role operate also see the counts of all tenants and the figures of the farm.",
  answers: { 200: { description: "Counts.", content: json("Queue") } },
  handler: async (
    { principal },
    { jobs, ownJobs, servers }: Pick<ApiDependencies, "jobs" | "ownJobs" | "servers">,
  ) => {
    const [summary, farm] = await Promise.all([ownJobs(principal).summarizeQueue(), servers.farm()]);
    const pausedSince = farm.pause?.pausedAt.toISOString() ?? null;
    const own = { ...viewOfSummary(summary), pausedSince };
    if (principal.role !== "operate") return { json: own };
    const all = await jobs.summarizeQueue();
    return { json: { ...own, allTenants: viewOfSummary(all), ...viewOfFarm(farm) } };
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
  const { workersAlive, fullDisks } = farm;
  return { servers: countServers(farm), workers: { alive: workersAlive, withoutRoom: fullDisks.length } };
}
