import { type Router } from "express";
import { tenantOf } from "../access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { resource } from "../resource.ts";

/** `GET queue`: how much waits and runs. */
export function addQueueRoutes(router: Router, { manager, servers }: ApiDependencies): void {
  resource(router, "/queue", {
    get: async (_request, response) => {
      const [summary, { servers: records, workersAlive }] = await Promise.all([
        manager.summarizeQueue(tenantOf(response).id),
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
