import { actorOf, publicNameOf } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { RefusedError } from "../http/problem-document.ts";
import { json } from "../routing/contents.ts";
import { route, type HandledRoute } from "../routing/route.ts";
import { type ShownFarm } from "../servers/shown-farm.ts";

type Parts = Pick<ApiDependencies, "servers">;

/** Each ComfyUI server and how it is doing; for operators also where it is, and why it is not doing better. */
export const listServers = route({
  id: "listServers",
  tag: "farm",
  method: "GET",
  path: "servers",
  access: "read",
  summary: "The ComfyUI servers and how they are doing",
  description: "By public names; keys that operate are shown addresses, workers and reasons as well.",
  answers: { 200: { description: "All of them.", content: json("Servers") } },
  handler: async ({ principal }, { servers }: Parts) => {
    const farm = await servers.farm();
    const operates = principal.role === "operate";
    const views = farm.servers.map((server) => ({
      id: server.id,
      name: publicNameOf(server),
      state: server.state,
      stateSince: server.stateSince.toISOString(),
      draining: server.draining,
      version: server.version,
      isKnown: server.definitionsHash !== null,
      ...(operates ? whatOperatorsSee(server) : {}),
    }));
    return { json: { servers: views } };
  },
});

export const drainServer = switchRoute("drain", true, "Give a server no new work");
export const resumeServer = switchRoute("resume", false, "Give a server work again");

/** Whether a server takes new work, for operators who want to restart it. */
function switchRoute(action: "drain" | "resume", draining: boolean, summary: string): HandledRoute {
  return route({
    id: `${action}Server`,
    tag: "farm",
    method: "POST",
    path: `servers/:id/${action}`,
    access: "operate",
    subject: "server",
    summary,
    answers: { 202: { description: "From now on.", content: json("ServerAction") } },
    problems: ["server-not-found"],
    handler: async ({ id, absent, principal }, { servers }: Parts) => {
      if (!(await servers.setDraining(id, draining, actorOf(principal)))) throw absent();
      return { json: { id, draining } };
    },
  });
}

/** Removes a server that has left every worker's configuration. */
export const removeServer = route({
  id: "removeServer",
  tag: "farm",
  method: "DELETE",
  path: "servers/:id",
  access: "operate",
  subject: "server",
  summary: "Remove a retired server",
  description: "The history of its jobs stays. It comes back when a worker's configuration names it again.",
  answers: { 204: { description: "It is gone." } },
  problems: ["server-not-found", "server-in-use"],
  handler: async ({ id, absent, principal }, { servers }: Parts) => {
    const outcome = await servers.remove(id, actorOf(principal));
    if (outcome === "absent") throw absent();
    if (outcome === "in-use") {
      throw new RefusedError(
        "server-in-use",
        "The server is not retired: a worker that lives, or did lately, names it, or no worker lives.",
      );
    }
    return {};
  },
});

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
