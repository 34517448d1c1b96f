import { validate as isUuid } from "uuid";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../guarded-routes.ts";
import { RefusedError } from "../problem-document.ts";
import { idOf } from "../request-values.ts";

/**
 * `GET servers`: each ComfyUI server, how it is doing, and why not better; `drain` and `resume`: whether it takes new work,
 * for operators who want to restart it.
 */
export function addServerRoutes(routes: GuardedRoutes, { servers }: ApiDependencies): void {
  routes.resource("servers", {
    get: async (_request, response) => {
      const farm = await servers.farm();
      response.set("cache-control", "no-store").json({
        servers: farm.servers.map((server) => ({
          id: server.id,
          url: server.url,
          state: server.state,
          stateReason: server.stateReason,
          stateSince: server.stateSince.toISOString(),
          draining: server.draining,
          slots: server.slots,
          jobsHeld: server.jobsHeld,
          worker: server.ownerId,
          version: server.version,
          abilities: server.abilities,
          isKnown: server.definitionsHash !== null,
        })),
      });
    },
  });
  for (const [action, draining] of [
    ["drain", true],
    ["resume", false],
  ] as const) {
    routes.resource(`servers/:id/${action}`, {
      post: async (request, response) => {
        const id = idOf(request);
        if (!isUuid(id) || !(await servers.setDraining(id, draining))) {
          throw new RefusedError("server-not-found", `There is no server ${id.slice(0, 100)}.`);
        }
        response.status(202).json({ id, draining });
      },
    });
  }
}
