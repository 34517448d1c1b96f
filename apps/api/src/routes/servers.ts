import {
  actorOf,
  publicNameOf,
  type ServerRecord,
  type ShownServerState,
  type UpkeepRecord,
} from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { RefusedError } from "../http/problem-document.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { route, type HandledRoute } from "../routing/route.ts";
import { type ShownFarm } from "../servers/shown-farm.ts";

type Parts = Pick<ApiDependencies, "servers" | "serverUpkeep">;

/** Each ComfyUI server and its state. Operators also see its address and the reason of its state. */
export const listServers = route({
  id: "listServers",
  tag: "farm",
  method: "GET",
  path: "servers",
  access: "read",
  summary: "The ComfyUI servers and their states",
  description: "Servers have public names; keys of the role operate also see addresses, workers and reasons.",
  answers: { 200: { description: "All of them.", content: json("Servers") } },
  handler: async ({ principal }, { servers, serverUpkeep }: Parts) => {
    const operates = principal.role === "operate";
    const [farm, upkeep] = await Promise.all([servers.farm(), operates ? serverUpkeep.listUpkeep() : []]);
    const upkeepOf = new Map(upkeep.map((record) => [record.serverId, record]));
    const views = farm.servers.map((server) => ({
      id: server.id,
      name: publicNameOf(server),
      state: server.state,
      stateSince: server.stateSince.toISOString(),
      draining: server.draining,
      version: server.version,
      labels: server.labels,
      isKnown: server.definitionsHash !== null,
      ...(operates ? { ...whatOperatorsSee(server), ...viewOfUpkeep(upkeepOf.get(server.id)) } : {}),
    }));
    return { json: { servers: views } };
  },
});

export const drainServer = switchRoute("drain", true, "Give a server no new work");
export const resumeServer = switchRoute("resume", false, "Give a server work again");

/**
 * Makes the routes with which an operator stops new work on a server, for example before a restart, and allows it
 * again.
 */
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

/** Asks the server's worker to recycle it. */
export const recycleServer = route({
  id: "recycleServer",
  tag: "farm",
  method: "POST",
  path: "servers/:id/recycle",
  access: "operate",
  subject: "server",
  summary: "Free a server's memory, and run the hook that may restart it",
  description:
    "Its worker gives it no new work, lets its prompts end, asks it to free its memory (`/free`), and runs the hook " +
    "that is configured (`RECYCLE_HOOK`). One server of each worker at a time; a server that an operator has drained stays drained.",
  answers: { 202: { description: "As soon as it can be.", content: json("ServerRecycle") } },
  problems: ["server-not-found"],
  handler: async ({ id, absent, principal }, { servers }: Parts) => {
    if (!(await servers.askRecycle(id, actorOf(principal)))) throw absent();
    return { json: { id, recycling: true } };
  },
});

/** Adds a server, which the workers take at once. */
export const addServer = route({
  id: "addServer",
  tag: "farm",
  method: "POST",
  path: "servers",
  access: "operate",
  summary: "Add a ComfyUI server to the farm",
  description:
    "All workers that take servers of the API (SERVERS_FROM_API) may own it from now on. It stays until it is removed " +
    "(`DELETE /servers/{id}`). Servers that COMFYUI_URLS or COMFYUI_SERVERS_FILE name are not added.",
  body: jsonObject("NewServer"),
  answers: { 201: { description: "It is added.", content: json("AddedServer") } },
  problems: [
    "invalid-request",
    "invalid-field",
    "missing-field",
    "out-of-bounds",
    "secrets-key-missing",
    "server-exists",
    "too-many-servers",
  ],
  handler: async (
    { body, principal },
    { servers, newServers }: Pick<ApiDependencies, "newServers" | "servers">,
  ) => {
    const server = newServers.read(body);
    const added = await servers.add(server, actorOf(principal), newServers.countMax);
    if (added === "taken") {
      const detail =
        "A worker's sources name this server already, or it was added before. Remove it there first.";
      throw new RefusedError("server-exists", detail);
    }
    if (added === "full") {
      const detail = `The farm may have ${newServers.countMax} servers that were added (ADDED_SERVERS_MAX). Remove one first.`;
      throw new RefusedError("too-many-servers", detail);
    }
    const { id } = added;
    return { json: { id, name: publicNameOf({ id }), url: server.url } };
  },
});

/** Removes a server that was added, or that no worker's sources name any more. */
export const removeServer = route({
  id: "removeServer",
  tag: "farm",
  method: "DELETE",
  path: "servers/:id",
  access: "operate",
  subject: "server",
  summary: "Remove a server that was added by the API, or a retired one",
  description:
    "One that was added gets no new jobs from now on (`retiring`); what it has ends there, and then it is gone. The history of " +
    "its jobs stays. A server comes back when a worker's sources name it again.",
  answers: { 204: { description: "It is gone." } },
  problems: ["server-not-found", "server-in-use"],
  handler: async ({ id, absent, principal }, { servers }: Parts) => {
    const outcome = await servers.remove(id, actorOf(principal));
    if (outcome === "absent") throw absent();
    if (outcome === "in-use") {
      throw new RefusedError(
        "server-in-use",
        "Only a server that was added by the API, or that is retired, can be removed. COMFYUI_URLS or the servers file of a worker names this one, or did lately, or no worker is alive that could say so.",
      );
    }
    return {};
  },
});

/** What was recorded of a server says nothing of one that does not answer now. */
function answers(state: ShownServerState): boolean {
  return !["unknown", "unreachable", "denied", "unowned", "retired"].includes(state);
}

function viewOfDevices({ devices }: Pick<ServerRecord, "devices">): object[] | null {
  return (
    devices?.map(({ name, type, totalBytes, freeBytes }) => ({
      ...{ name, type, vramTotalBytes: totalBytes, vramFreeBytes: freeBytes },
    })) ?? null
  );
}

function viewOfUpkeep(upkeep: UpkeepRecord | undefined): object {
  const { recycleReason: reason, recycleAskedAt: askedAt, recycleBegunAt: begunAt, last } = upkeep ?? {};
  return {
    promptsSinceRecycle: upkeep?.promptsRun ?? 0,
    recycling:
      reason === undefined || reason === null
        ? null
        : { reason, askedAt: askedAt?.toISOString() ?? null, begunAt: begunAt?.toISOString() ?? null },
    lastRecycle: last === undefined || last === null ? null : { ...last, at: last.at.toISOString() },
  };
}

/** The fields that only operators see: addresses, names of workers, and jobs of other tenants. */
function whatOperatorsSee(server: ShownFarm["servers"][number]): object {
  return {
    url: server.url,
    stateReason: server.stateReason,
    slots: server.slots,
    jobsHeld: server.jobsHeld,
    worker: server.ownerId,
    abilities: server.abilities,
    devices: answers(server.state) ? viewOfDevices(server) : null,
    source: server.source,
    resolvedFrom: server.resolvedFrom,
    credential: server.credential,
    isAdded: server.isAdded,
    addedAt: server.addedAt?.toISOString() ?? null,
    hasAuthorization: server.hasAuthorization,
  };
}
