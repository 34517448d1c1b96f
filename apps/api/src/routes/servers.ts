import { actorOf, publicNameOf } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { principalOf } from "../access/access.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { RefusedError } from "../http/problem-document.ts";
import { idOf } from "../http/request-values.ts";
import { type ShownFarm } from "../servers/shown-farm.ts";

/**
 * `GET servers`: each ComfyUI server and how it is doing; for operators also where it is, and why it is not doing better.
 * `drain` and `resume`: whether it takes new work, for operators who want to restart it.
 * `DELETE servers/:id` removes one that has left every worker's configuration.
 */
export function addServerRoutes(routes: GuardedRoutes, { servers }: ApiDependencies): void {
  routes.resource("servers", {
    get: async (_request, response) => {
      const farm = await servers.farm();
      const operates = principalOf(response).role === "operate";
      response.json({
        servers: farm.servers.map((server) => ({
          id: server.id,
          name: publicNameOf(server),
          state: server.state,
          stateSince: server.stateSince.toISOString(),
          draining: server.draining,
          version: server.version,
          isKnown: server.definitionsHash !== null,
          ...(operates ? whatOperatorsSee(server) : {}),
        })),
      });
    },
  });
  routes.resource("servers/:id", {
    delete: async (request, response) => {
      const id = idOf(request);
      const outcome = isUuid(id) ? await servers.remove(id, actorOf(principalOf(response))) : "absent";
      if (outcome === "absent") {
        throw new RefusedError("server-not-found", `There is no server ${id.slice(0, 100)}.`);
      }
      if (outcome === "in-use") {
        throw new RefusedError(
          "server-in-use",
          "The server is not retired: a worker that lives, or did lately, names it, or no worker lives.",
        );
      }
      response.status(204).end();
    },
  });
  for (const [action, draining] of [
    ["drain", true],
    ["resume", false],
  ] as const) {
    routes.resource(`servers/:id/${action}`, {
      post: async (request, response) => {
        const id = idOf(request);
        if (!isUuid(id) || !(await servers.setDraining(id, draining, actorOf(principalOf(response))))) {
          throw new RefusedError("server-not-found", `There is no server ${id.slice(0, 100)}.`);
        }
        response.status(202).json({ id, draining });
      },
    });
  }
}

/** Addresses, names of workers and other tenants' jobs. */
function whatOperatorsSee(server: ShownFarm["servers"][number]): object {
  return {
    url: server.url,
    stateReason: server.stateReason,
    slots: server.slots,
    jobsHeld: server.jobsHeld,
    worker: server.ownerId,
    abilities: server.abilities,
  };
}
