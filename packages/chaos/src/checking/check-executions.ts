import { groupBy } from "../history/group-by.ts";
import {
  endings,
  type Attempt,
  type Execution,
  type History,
  type JobWrite,
  type Trouble,
  type Violation,
} from "../history/history.ts";

/**
 * Two moments from different processes may seem to be swapped by this much, because clocks are read at different times
 * and rounded.
 */
const slackMs = 300;

/** A prompt that a server executed, from the server's own log. */
interface Render {
  attempt: Attempt;
  startedAt: number;
  /** When the prompt finished, or the server ended; `Infinity` when it was still running at the end of the test. */
  endedAt: number;
}

/** An execution that was not the job's last one, and the reason that Genga recorded. */
export interface RepeatedRender {
  jobId: string;
  cause: string;
  /** When Genga gave the execution up. */
  at: number;
}

/** Checks that servers execute no more than the rules allow. */
export function checkExecutions(history: History): Violation[] {
  const { renders, violations } = rendersOf(history);
  const writesOf = groupBy(history.writes, ({ jobId }) => jobId);
  for (const render of renders) {
    const { jobId } = render.attempt;
    for (const message of problemsOf(render, history.troubles, writesOf.get(jobId) ?? [])) {
      violations.push({ rule: "executions", jobId, message: `${message} (${shown(render)})` });
    }
  }
  return violations;
}

/** Executions that were repeated, with the reasons that Genga recorded. */
export function repeatedRenders(history: History): RepeatedRender[] {
  return rendersOf(history)
    .renders.filter(({ attempt }) => attempt.outcome === "requeued")
    .map(({ attempt, startedAt }) => ({
      jobId: attempt.jobId,
      cause: attempt.failureCode ?? "unknown",
      at: attempt.finishedAt ?? startedAt,
    }));
}

/** How often jobs were executed: number of executions → number of jobs. */
export function rendersPerJob(history: History): Map<number, number> {
  const perJob = groupBy(rendersOf(history).renders, ({ attempt }) => attempt.jobId);
  const counts = new Map<number, number>();
  for (const { id } of history.jobs) {
    const count = perJob.get(id)?.length ?? 0;
    counts.set(count, (counts.get(count) ?? 0) + 1);
  }
  return new Map([...counts].sort(([one], [other]) => one - other));
}

function rendersOf(history: History): { renders: Render[]; violations: Violation[] } {
  const attempts = new Map(history.attempts.map((attempt) => [attempt.promptId, attempt]));
  const violations: Violation[] = [];
  const renders: Render[] = [];
  for (const [promptId, lines] of groupBy(history.executions, (line) => line.promptId)) {
    const attempt = attempts.get(promptId);
    const starts = lines.filter(({ event }) => event === "started");
    const [start] = starts;
    if (attempt === undefined || start === undefined) {
      const message = `prompt ${promptId} was executed, and no attempt owns it`;
      violations.push({ rule: "executions", jobId: null, message });
      continue;
    }
    if (starts.length > 1) {
      const where = starts.map(({ serverUrl }) => serverUrl).join(", ");
      const message = `prompt ${promptId} was executed ${starts.length} times (${where})`;
      violations.push({ rule: "executions", jobId: attempt.jobId, message });
    }
    renders.push({ attempt, startedAt: start.at, endedAt: endOf(start, lines, history) });
  }
  return { renders, violations };
}

function endOf(start: Execution, lines: readonly Execution[], history: History): number {
  const finished = lines.find(({ event }) => event === "finished");
  if (finished !== undefined) return finished.at;
  const death = history.troubles.find(
    ({ kind, serverUrl, from }) =>
      kind === "memory-lost" && serverUrl === start.serverUrl && from >= start.at - slackMs,
  );
  return death?.from ?? Number.POSITIVE_INFINITY;
}

function* problemsOf(
  render: Render,
  troubles: readonly Trouble[],
  writes: readonly JobWrite[],
): Generator<string> {
  const { attempt, startedAt, endedAt } = render;
  const isExcused = (kinds: readonly Trouble["kind"][], until: number): boolean =>
    troubles.some(
      ({ kind, serverUrl, from, to }) =>
        kinds.includes(kind) &&
        (serverUrl === undefined || serverUrl === attempt.serverUrl) &&
        from <= until + slackMs &&
        to >= attempt.claimedAt - slackMs,
    );
  const isServerFault = attempt.outcome === "requeued" && attempt.failureClass === "server";
  if (isServerFault) {
    const kinds: Trouble["kind"][] =
      attempt.failureCode === "server-abandoned"
        ? ["memory-lost", "unreachable", "workers"]
        : ["memory-lost", "unreachable"];
    if (!isExcused(kinds, attempt.finishedAt ?? startedAt)) {
      yield `it was rendered and then given up (${attempt.failureCode ?? "?"}), although its server was fine all the time`;
    }
  }
  const atStart = stateAt(writes, startedAt - slackMs);
  if (atStart !== undefined && isOver(atStart, attempt) && !isExcused(anything, startedAt)) {
    yield `its execution began after the attempt was over (${atStart.status}, attempt ${atStart.attempt})`;
  }
  const cancelled = writes.find(
    ({ before, after }) =>
      after.status === "cancelled" && before?.status === "processing" && after.attempt === attempt.number,
  );
  if (cancelled !== undefined && endedAt > cancelled.at + slackMs && !isExcused(anything, cancelled.at)) {
    yield `it was still executing when the job was said to be cancelled at ${new Date(cancelled.at).toISOString()}`;
  }
}

const anything: readonly Trouble["kind"][] = ["memory-lost", "unreachable"];

function stateAt(writes: readonly JobWrite[], at: number): JobWrite["after"] | undefined {
  return writes.findLast((write) => write.at <= at)?.after;
}

function isOver(state: JobWrite["after"], attempt: Attempt): boolean {
  if (state.attempt !== attempt.number) return state.attempt > attempt.number;
  return state.status === "queued" || endings.has(state.status);
}

function shown({ attempt, startedAt, endedAt }: Render): string {
  const end = Number.isFinite(endedAt) ? new Date(endedAt).toISOString() : "…";
  return `attempt ${attempt.number} on ${attempt.serverUrl}, ${new Date(startedAt).toISOString()} – ${end}, prompt ${attempt.promptId}`;
}
