import { actorOf } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";

type Parts = Pick<ApiDependencies, "lanePauses">;

/** Pausing and resuming the jobs of one lane: those with the same main model and the same requirements. */
const lane = {
  tag: "farm",
  method: "POST",
  access: "operate",
  subject: "lane",
  description:
    "A lane holds the jobs with one main model and one set of requirements; GET queue lists the lanes. Running prompts go " +
    "on, and new jobs are accepted, whether the lane is paused or not.",
  problems: ["lane-not-found"],
  answers: { 202: { description: "From now on.", content: json("LaneState") } },
} as const;

export const pauseLane = route({
  ...lane,
  id: "pauseLane",
  path: "lanes/:name/pause",
  summary: "Begin no more jobs of a lane",
  handler: async ({ id: name, absent, principal }, { lanePauses }: Parts) => {
    const pause = await lanePauses.pauseLane(name, actorOf(principal));
    if (pause === null) throw absent();
    return { json: { name, pausedSince: pause.pausedAt.toISOString(), pausedBy: pause.pausedBy } };
  },
});

export const resumeLane = route({
  ...lane,
  id: "resumeLane",
  path: "lanes/:name/resume",
  summary: "Let the jobs of a lane begin again",
  handler: async ({ id: name, absent, principal }, { lanePauses }: Parts) => {
    if (!(await lanePauses.resumeLane(name, actorOf(principal)))) throw absent();
    return { json: { name, pausedSince: null, pausedBy: null } };
  },
});
