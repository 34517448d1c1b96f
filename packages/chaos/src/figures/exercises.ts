import { wasTakenBack } from "../checking/check-take-backs.ts";
import { groupBy } from "../history/group-by.ts";
import { type History } from "../history/history.ts";

/** What a run must have seen to prove anything about scheduling. */
const exercises = [
  "jobs paused",
  "lanes paused",
  "priorities changed",
  "models changed",
  "jobs run by their labels",
  "jobs run after others",
  "outputs read by other jobs",
  "submissions replayed",
  "prompts taken back",
] as const;
export type Exercise = (typeof exercises)[number];

/** How often each of them happened. */
export function countExercises(history: History): Map<Exercise, number> {
  const { jobs, attempts, laneChanges, submissions } = history;
  const completed = jobs.filter(({ events }) => events.at(-1)?.type === "completed");
  const countEvents = (type: string): number =>
    jobs.flatMap(({ events }) => events.filter((event) => event.type === type)).length;
  const counts: Record<Exercise, number> = {
    "jobs paused": countEvents("paused"),
    "lanes paused": laneChanges.filter(({ isPaused }) => isPaused).length,
    "priorities changed": countEvents("priority_changed"),
    "models changed": countModelChanges(history),
    "jobs run by their labels": completed.filter(({ requires }) => requires.length > 0).length,
    "jobs run after others": completed.filter(({ dependsOn }) => dependsOn.length > 0).length,
    "outputs read by other jobs": completed.filter(({ spec }) => spec?.kind === "upscale").length,
    "submissions replayed": submissions.filter(({ answers }) => answers.length > 1).length,
    "prompts taken back": attempts.filter(wasTakenBack).length,
  };
  return new Map(exercises.map((exercise) => [exercise, counts[exercise]]));
}

/** How often a server executed a prompt with another checkpoint than the one before. */
function countModelChanges({ jobs, attempts, executions }: History): number {
  const specOf = new Map(jobs.map(({ id, spec }) => [id, spec]));
  const checkpointOf = new Map(
    attempts.flatMap(({ promptId, jobId }) => {
      const spec = specOf.get(jobId);
      return spec !== undefined && spec !== null && "model" in spec ? [[promptId, spec.model] as const] : [];
    }),
  );
  const starts = executions.filter(({ event }) => event === "started");
  return [...groupBy(starts, ({ serverUrl }) => serverUrl).values()].reduce((changes, ofServer) => {
    const checkpoints = ofServer.flatMap(({ promptId }) => checkpointOf.get(promptId) ?? []);
    return changes + checkpoints.filter((name, index) => index > 0 && name !== checkpoints[index - 1]).length;
  }, 0);
}
