import { type QueueSummary } from "@genga/jobs";
import { principalOf } from "../access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../guarded-routes.ts";
import { type ShownFarm } from "../shown-farm.ts";

/** `GET queue`: how much of one's own waits and runs; for operators also of all tenants, and the farm's figures. */
export function addQueueRoutes(routes: GuardedRoutes, { manager, servers }: ApiDependencies): void {
  routes.resource("queue", {
    get: async (_request, response) => {
      const { tenant, role } = principalOf(response);
      const own = viewOfSummary(await manager.summarizeQueue(tenant.id));
      if (role !== "operate") {
        response.json(own);
        return;
      }
      const [all, farm] = await Promise.all([manager.summarizeQueue(), servers.farm()]);
      response.json({ ...own, allTenants: viewOfSummary(all), ...viewOfFarm(farm) });
    },
  });
}

function viewOfSummary({ counts, lanes, oldestQueuedAt }: QueueSummary): object {
  return { counts, lanes, oldestQueuedAt: oldestQueuedAt?.toISOString() ?? null };
}

function viewOfFarm({ servers, workersAlive, fullDisks }: ShownFarm): object {
  return {
    servers: {
      total: servers.length,
      online: servers.filter(({ state }) => state === "online").length,
      unowned: servers.filter(({ state }) => state === "unowned").length,
      slots: servers.reduce((sum, { slots, state }) => sum + (state === "online" ? slots : 0), 0),
      jobsHeld: servers.reduce((sum, { jobsHeld }) => sum + jobsHeld, 0),
    },
    workers: { alive: workersAlive, withoutRoom: fullDisks.length },
  };
}
