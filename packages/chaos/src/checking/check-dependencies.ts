import { groupBy } from "../history/group-by.ts";
import { type Execution, type History, type JobHistory } from "../history/history.ts";

/** A server's log and the database may differ by this much, because clocks are read at different times and rounded. */
const slackMs = 300;

/** The code of a failure whose only reason is another job. */
export const dependencyFailed = "dependency-failed";

/**
 * Checks that no job was claimed, and none was executed, before the jobs that it depends on had completed, that it failed
 * with them, and that it did not fail because of jobs that have all completed.
 * @returns the id of the job, and what is wrong with it
 */
export function* checkDependencies({
  jobs,
  attempts,
  executions,
}: History): Generator<[jobId: string, message: string]> {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const jobOf = new Map(attempts.map(({ promptId, jobId }) => [promptId, jobId]));
  const startsOf = groupBy(
    executions.filter(({ event }) => event === "started"),
    ({ promptId }) => jobOf.get(promptId),
  );
  for (const job of jobs) {
    const needed = job.dependsOn.flatMap((id) => byId.get(id) ?? []);
    if (needed.length === 0) continue;
    for (const message of problemsOf(job, needed, startsOf.get(job.id) ?? [])) yield [job.id, message];
  }
}

function* problemsOf(
  job: JobHistory,
  needed: readonly JobHistory[],
  starts: readonly Execution[],
): Generator<string> {
  const claims = job.events.filter(({ type }) => type === "claimed");
  for (const { id, events } of needed) {
    const completedAt =
      events.find(({ type }) => type === "completed")?.createdAt ?? Number.POSITIVE_INFINITY;
    const early = claims.find(({ createdAt }) => createdAt < completedAt);
    if (early !== undefined) yield `it was claimed (${early.sequence}) before job ${id} had completed`;
    const begun = starts.find(({ at }) => at < completedAt - slackMs);
    if (begun !== undefined)
      yield `${begun.serverUrl} began to execute it before job ${id} had completed (prompt ${begun.promptId})`;
  }
  const end = endOf(job);
  if (end === undefined) return;
  const isFailedWithThem = end.failure?.code === dependencyFailed;
  const open = needed.filter((other) => endOf(other)?.status !== "completed").map(({ id }) => id);
  if (isFailedWithThem && open.length === 0)
    yield "it failed because of jobs that it depends on, and all of them have completed";
  if (!isFailedWithThem && open.length > 0 && end.status === "failed")
    yield `it failed with ${end.failure?.code ?? "nothing"}, although ${open.join(", ")} did not complete`;
}

function endOf({
  finalAnswers,
}: JobHistory): NonNullable<JobHistory["finalAnswers"][number]["job"]> | undefined {
  return finalAnswers.find(({ job }) => job !== undefined)?.job;
}
