import { actorOf } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

type Parts = Pick<ApiDependencies, "servers">;

/** Pausing and resuming new work, on all servers of all workers. */
const farm = {
  tag: "farm",
  method: "POST",
  access: "operate",
  description: "Running prompts go on, and new jobs are accepted, whether the farm is paused or not.",
  answers: { 202: { description: "From now on.", content: json("FarmState") } },
} as const;

export const pauseFarm = route({
  ...farm,
  id: "pauseFarm",
  path: "farm/pause",
  summary: "Begin nothing new on any server",
  handler: async ({ principal }, { servers }: Parts) => {
    const { pausedAt, pausedBy } = await servers.pauseFarm(actorOf(principal));
    return { json: { pausedSince: pausedAt.toISOString(), pausedBy } };
  },
});

export const resumeFarm = route({
  ...farm,
  id: "resumeFarm",
  path: "farm/resume",
  summary: "Let the farm work again",
  handler: async ({ principal }, { servers }: Parts) => {
    await servers.resumeFarm(actorOf(principal));
    return { json: { pausedSince: null, pausedBy: null } };
  },
});
