import { principalOf } from "../access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../guarded-routes.ts";

/** `GET queue`: how much waits and runs. */
export function addQueueRoutes(routes: GuardedRoutes, { manager, servers }: ApiDependencies): void {
  routes.resource("queue", {
    get: async (_request, response) => {
      const [summary, { servers: records, workersAlive }] = await Promise.all([
        manager.summarizeQueue(principalOf(response).tenant.id),
        servers.farm(),
      ]);
      response.set("cache-control", "no-store").json({
        counts: summary.counts,
        lanes: summary.lanes,
        oldestQueuedAt: summary.oldestQueuedAt?.toISOString() ?? null,
        servers: {
          total: records.length,
          online: records.filter(({ state }) => state === "online").length,
          unowned: records.filter(({ state }) => state === "unowned").length,
          slots: records.reduce((sum, { slots, state }) => sum + (state === "online" ? slots : 0), 0),
          jobsHeld: records.reduce((sum, { jobsHeld }) => sum + jobsHeld, 0),
        },
        workers: { alive: workersAlive },
      });
    },
  });
}
