import { type Router } from "express";
import { type ApiDependencies } from "../dependencies.ts";
import { resource } from "../resource.ts";

/** `GET servers`: each ComfyUI server, how it is doing, and why not better. */
export function addServerRoutes(router: Router, { servers }: ApiDependencies): void {
  resource(router, "/servers", {
    get: async (_request, response) => {
      const records = await servers.records();
      response.set("cache-control", "no-store").json({
        servers: records.map((server) => ({
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
          isKnown: server.definitionsHash !== null,
        })),
      });
    },
  });
}
