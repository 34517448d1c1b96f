import { ComfyUIError, type ComfyUIErrorCode, type SettledLookup } from "@genga/comfyui";
import {
  type AttemptEnd,
  endAfterFailure,
  givenBackCode,
  type Job,
  type JobAttempt,
  type JobFailure,
  type NewOutput,
  poisonCode,
  takenBackCode,
} from "@genga/jobs";
import { SavingCancelled } from "../files/storage-patience.ts";
import { ExtraDataError } from "./extra-data.ts";
import { failureOf, failureOfPrompt } from "./job-failure.ts";
import { RunStopped, type RunStop } from "./run.ts";

// What the end of a run means: for the job (`endOf`), for its server (`serverVerdict`, `serverFaultIn`), and whether it is
// for this worker to end the job at all (`stopOf`). Pure; `test/job-end.test.ts` has the table of cases.

/** Why this worker told the server to end a prompt, or to remove it from its queue (`take-back`). */
export type EndedBy = "cancel" | "deadline" | "expiry" | "stall" | "take-back";

/** How a prompt ended on its server. */
export interface PromptEnd {
  /**
   * `stuck`: the server was told to end the prompt, and does not. `never-there`: the prompt was not submitted, or never
   * arrived. `absent`: it was there, and the server does not know it any more.
   */
  lookup: SettledLookup | { state: "stuck" } | { state: "never-there" };
  /** `null`: this worker did not ask the server to end the prompt. */
  endedBy: EndedBy | null;
  /**
   * The server for which the prompt was taken back; only with `endedBy: "take-back"`, which without it means that the prompt
   * was given back, because its server gets no new work.
   */
  takenBackFor?: string;
  /** The server's messages about nodes that failed, if the prompt went on without them. */
  warnings: string[];
}

/** How a run came to its end. */
export type RunOutcome =
  /** @property outputs of a finished prompt */
  | { kind: "prompt-ended"; prompt: PromptEnd; outputs: NewOutput[] }
  /** @property mayRunElsewhere the server refused the graph, and another try may be accepted */
  | { kind: "broke"; error: unknown; mayRunElsewhere: boolean }
  /** @property wasOnServer the run held a slot of the server when the server was given up */
  | { kind: "server-lost"; wasOnServer: boolean };

/** What decides whether the prompt may have crashed its server. */
export interface Circumstances {
  /** The server said that it executes the prompt. */
  isExecuting: boolean;
  /** The server may have been executing the prompt, whether it said so or not. */
  mayHaveBegun: boolean;
  /** The job's queue deadline had passed when the run began. */
  hasExpired: boolean;
  server: { isAnswering: boolean; isDraining: boolean; reason: string | null };
}

/** The fields of a job that decide what the end of a run means. */
export type EndingJob = Pick<
  Job,
  "attempt" | "attemptsCharged" | "attemptsMax" | "outOfMemoryCount" | "crashCount" | "timeoutMs"
>;

/** What the end of a run means for its job. @param random 0 ≤ random < 1, spreads retries */
export function endOf(
  job: EndingJob,
  outcome: RunOutcome,
  circumstances: Circumstances,
  random: number,
): AttemptEnd {
  const { mayHaveBegun, isExecuting, hasExpired, server } = circumstances;
  const after = (failure: JobFailure, hasCrashed: boolean, mayRunElsewhere = false): AttemptEnd =>
    endAfterFailure(job, failure, { wasExecuting: hasCrashed, mayRunElsewhere, random });
  switch (outcome.kind) {
    case "broke":
      if (outcome.error instanceof SavingCancelled) return { kind: "cancelled" };
      return after(failureOf(outcome.error), false, outcome.mayRunElsewhere);
    case "server-lost": {
      // A server that still answers did not crash because of a prompt that it has sent no message about.
      const mayBeToBlame = isExecuting || (mayHaveBegun && !server.isAnswering);
      return after(
        serverLostFailure(server.reason),
        outcome.wasOnServer && mayBeToBlame && !server.isDraining,
      );
    }
    case "prompt-ended": {
      const { lookup, endedBy, takenBackFor, warnings } = outcome.prompt;
      if (lookup.state === "finished") return { kind: "completed", outputs: outcome.outputs, warnings };
      if (lookup.state === "failed") {
        // A graph can cause an assertion of the GPU, or fill a disk: three servers that break with it count like crashes.
        const hasCrashed = lookup.error.code === deviceFailedCode && !server.isDraining;
        return after(failureOfPrompt(lookup), hasCrashed);
      }
      if (endedBy === "cancel") return { kind: "cancelled" };
      if (endedBy === "expiry") return { kind: "timeout", failure: expiryFailure };
      if (endedBy === "deadline") return { kind: "timeout", failure: deadlineFailure(job.timeoutMs) };
      if (endedBy === "take-back")
        return takenBackFor === undefined ? givenBack : endAfterTakeBack(takenBackFor);
      // Perhaps a worker ended the prompt, and died before it could record that.
      if (endedBy === null && wasInterruptedAtDeadline(lookup, job))
        return { kind: "timeout", failure: deadlineFailure(job.timeoutMs) };
      if (endedBy === null && hasExpired && !isExecuting) return { kind: "timeout", failure: expiryFailure };
      // The graph itself may hang: three servers that stall with it count like three servers that crash.
      if (endedBy === "stall") return after(stallFailure, true);
      // An operator restarts a draining server on purpose, so its loss does not count as a crash.
      const hasCrashed = lookup.state === "absent" && mayHaveBegun && !server.isDraining;
      return after(promptLossFailures[lookup.state], hasCrashed);
    }
  }
}

/** The other server alone may claim the job for this time. Afterwards it gets a ticket like any other. */
const keptForServerMs = 3_000;

/** It is queued again, uncharged, for the server for which its prompt was taken back. */
function endAfterTakeBack(takenBackFor: string): AttemptEnd {
  const failure: JobFailure = {
    class: "server",
    code: takenBackCode,
    message:
      "Its prompt was waiting on its server behind others, and was taken back for a server that stood empty.",
  };
  return {
    kind: "requeue",
    failure,
    delayMs: keptForServerMs,
    charged: false,
    // Nothing failed there.
    avoidServer: false,
    takenBackFor,
  };
}

/** It is queued again, uncharged, for whichever server is free first. */
const givenBack: AttemptEnd = {
  kind: "requeue",
  failure: {
    class: "server",
    code: givenBackCode,
    message:
      "Its prompt was waiting on a server that gets no new work, and was given back for other servers.",
  },
  ...{ delayMs: 0, charged: false, avoidServer: false },
};

/**
 * Whether a prompt had executed for the job's whole time when it was interrupted, so that the job times out, whoever
 * interrupted it. The server's clock may run slower than that of the worker which interrupted it.
 */
function wasInterruptedAtDeadline(lookup: PromptEnd["lookup"], { timeoutMs }: EndingJob): boolean {
  if (lookup.state !== "interrupted" || lookup.executedMs === undefined) return false;
  return lookup.executedMs >= timeoutMs * (1 - clockErrorMax);
}

/** Of two clocks, as a share of the time that passes. */
const clockErrorMax = 0.01;

/**
 * What the end of a prompt says about its server: it works; or it ran a prompt that failed, which a broken server does as
 * well; or a job was lost on it; or nothing (`null`).
 */
export function serverVerdict(
  { lookup, endedBy }: PromptEnd,
  { mayHaveBegun }: Pick<Circumstances, "mayHaveBegun">,
): { verdict: "works" | "ran-a-job" } | { verdict: "lost-a-job"; reason: string } | null {
  if (lookup.state === "finished") return { verdict: "works" };
  if (lookup.state === "failed") {
    return lookup.error.code === deviceFailedCode
      ? { verdict: "lost-a-job", reason: lookup.error.message }
      : { verdict: "ran-a-job" };
  }
  if (endedBy === "stall") return { verdict: "lost-a-job", reason: stallFailure.message };
  if (lookup.state === "absent" && endedBy === null && mayHaveBegun)
    return { verdict: "lost-a-job", reason: promptLossFailures.absent.message };
  return null;
}

/** Why an error that ended a run is its server's fault; `null` = it is not. */
export function serverFaultIn(error: unknown): string | null {
  const failure = failureOf(error);
  return failure.class === "server" && !(error instanceof ExtraDataError) ? failure.message : null;
}

/**
 * Whether the prompt left the server normally, or never was on it. If not, whatever made the prompt vanish may also
 * have hit the prompts behind it.
 */
export function hasLetGo({ lookup, endedBy }: PromptEnd): boolean {
  return lookup.state === "absent" ? endedBy !== null : lookup.state !== "stuck";
}

/** Whether the prompt's entry may be removed from the server's history: not while the server may still have the prompt. */
export function mayForgetPrompt(outcome: RunOutcome): boolean {
  switch (outcome.kind) {
    case "broke":
      return true;
    case "server-lost":
      return false;
    case "prompt-ended":
      return hasLetGo(outcome.prompt);
  }
}

/**
 * Why a run was stopped; `null` = it was not, it broke. A connector is closed only when its server belongs to another
 * worker: then that worker adopts the prompt.
 * @param stopReason of the run's stop signal, which comes before what the run threw
 */
export function stopOf(stopReason: unknown, error: unknown): RunStop | null {
  if (stopReason instanceof RunStopped) return stopReason.stop;
  if (error instanceof ComfyUIError && error.code === "connector_closed") return "hand-over";
  return error instanceof RunStopped ? error.stop : null;
}

/** The job is held responsible for crashes of several servers. */
export function blamesJobForCrashes(end: AttemptEnd): boolean {
  return end.kind === "failed" && end.failure.code === poisonCode;
}

/** The end with the servers in its message on which the job's attempts crashed. */
export function namingCrashedServers(
  end: AttemptEnd,
  attempts: readonly Pick<JobAttempt, "failure" | "serverUrl">[],
  lastServerUrl: string,
): AttemptEnd {
  if (end.kind !== "failed") return end;
  const crashed = attempts.filter(({ failure }) => failure !== null && crashCodes.has(failure.code));
  const urls = [...new Set([...crashed.map(({ serverUrl }) => serverUrl), lastServerUrl])];
  const message = `${end.failure.message} The servers: ${urls.join(", ")}.`;
  return { ...end, failure: { ...end.failure, message } };
}

/** The end of a job whose result exists but which the database refuses. */
export function unrecordableEnd(error: unknown): AttemptEnd {
  const why = error instanceof Error ? error.message : String(error);
  const message = `The result could not be recorded: ${why}`.slice(0, 500);
  return { kind: "failed", failure: { class: "execution", code: "result-refused", message } };
}

function deadlineFailure(timeoutMs: number): JobFailure {
  return {
    class: "deadline",
    code: "deadline-passed",
    message: `It was still executing after ${timeoutMs} ms (timeoutMs) and was interrupted.`,
  };
}

const expiryFailure: JobFailure = {
  class: "deadline",
  code: "expired",
  message: "The job had not begun to execute when its queue deadline (expiresAt) passed.",
};

const stallFailure: JobFailure = {
  class: "server",
  code: "prompt-stalled",
  message: "The executing prompt sent no message for too long (STALL_MS); it was interrupted.",
};

function serverLostFailure(reason: string | null): JobFailure {
  const message = `Its server was given up. ${reason ?? ""}`.trim();
  return { class: "server", code: serverLostCode, message };
}

const serverLostCode = "server-lost";

/** Failures of prompts that ended without a result although this worker did not ask for it. */
const promptLossFailures = {
  interrupted: {
    class: "server",
    code: "prompt-interrupted",
    message: "The prompt was interrupted on the server by somebody else.",
  },
  absent: {
    class: "server",
    code: "prompt-lost",
    message: "The server does not know the prompt; it was probably restarted.",
  },
  "never-there": {
    class: "server",
    code: "not-submitted",
    message: "The prompt never reached the server.",
  },
  stuck: { class: "server", code: "prompt-stuck", message: "The server did not let go of the prompt." },
} as const satisfies Record<string, JobFailure>;

/** The server's GPU or disk is broken. */
const deviceFailedCode = "device_failed" satisfies ComfyUIErrorCode;

/** Failures of attempts that count as crashes of their server. */
const crashCodes: ReadonlySet<string> = new Set([
  deviceFailedCode.replaceAll("_", "-"),
  promptLossFailures.absent.code,
  serverLostCode,
  stallFailure.code,
]);
