import { actorOf } from "@genga/jobs";
import { principalOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";

/**
 * `farm/pause` and `farm/resume`: whether anything new begins, on all servers of all workers. Running prompts go on, and
 * jobs are accepted and wait.
 */
export function addFarmRoutes(routes: GuardedRoutes, { servers }: ApiDependencies): void {
  routes.resource("farm/pause", {
    post: async (_request, response) => {
      const { pausedAt, pausedBy } = await servers.pauseFarm(actorOf(principalOf(response)));
      response.status(202).json({ pausedSince: pausedAt.toISOString(), pausedBy });
    },
  });
  routes.resource("farm/resume", {
    post: async (_request, response) => {
      await servers.resumeFarm(actorOf(principalOf(response)));
      response.status(202).json({ pausedSince: null, pausedBy: null });
    },
  });
}
