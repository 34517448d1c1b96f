import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";

/** `GET workers`: the worker processes that live, and what each owns. */
export function addWorkerRoutes(routes: GuardedRoutes, { servers }: ApiDependencies): void {
  routes.resource("workers", {
    get: async (_request, response) => {
      const { workers } = await servers.farm();
      response.set("cache-control", "no-store").json({
        workers: workers.map((worker) => ({
          id: worker.id,
          startedAt: worker.startedAt.toISOString(),
          healthUrl: worker.statusUrl === null ? null : `${worker.statusUrl}/health`,
          lastSeenAt: worker.lastSeenAt.toISOString(),
          serversNamed: worker.serverIds,
          serversOwned: worker.serversOwned,
          jobsHeld: worker.jobsHeld,
        })),
      });
    },
  });
}
