import { type QueueSummary } from "@genga/jobs";
import { principalOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { countServers, type ShownFarm } from "../servers/shown-farm.ts";

/** `GET queue`: how much of one's own waits and runs; for operators also of all tenants, and the farm's figures. */
export function addQueueRoutes(routes: GuardedRoutes, { jobs, ownJobs, servers }: ApiDependencies): void {
  routes.resource("queue", {
    get: async (_request, response) => {
      const { role } = principalOf(response);
      const [summary, farm] = await Promise.all([ownJobs(response).summarizeQueue(), servers.farm()]);
      const pausedSince = farm.pause?.pausedAt.toISOString() ?? null;
      const own = { ...viewOfSummary(summary), pausedSince };
      if (role !== "operate") {
        response.json(own);
        return;
      }
      const all = await jobs.summarizeQueue();
      response.json({ ...own, allTenants: viewOfSummary(all), ...viewOfFarm(farm) });
    },
  });
}

function viewOfSummary({ counts, lanes, oldestQueuedAt }: QueueSummary): object {
  return { counts, lanes, oldestQueuedAt: oldestQueuedAt?.toISOString() ?? null };
}

function viewOfFarm(farm: ShownFarm): object {
  const { workersAlive, fullDisks } = farm;
  return { servers: countServers(farm), workers: { alive: workersAlive, withoutRoom: fullDisks.length } };
}
