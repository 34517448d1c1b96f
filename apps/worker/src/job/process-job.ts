import { type DoorMessageGiver, traceIdOf } from "@genga/jobs";
import { type Logger, type Tracing } from "@genga/runtime";
import { DoorRelay } from "../door/door-relay.ts";
import { type StoragePatienceOptions } from "../files/storage-patience.ts";
import { type KnownDurations } from "../durations/known-durations.ts";
import { type LaneMeasures } from "../lanes/lane-measures.ts";
import { hasLetGo, type PromptEnd, serverVerdict } from "./job-end.ts";
import { type JobServer } from "./job-server.ts";
import { endJob, type EndJobOptions } from "./record-end.ts";
import { type RefusalOptions } from "./refusal.ts";
import { type Run } from "./run.ts";
import { type RunTimes } from "../lanes/run-timing.ts";
import { type Previews } from "../previews/previews.ts";
import { RunTrace } from "./run-trace.ts";
import { saveOutputs } from "./save-outputs.ts";
import { endStoppedRun } from "./stopped-run.ts";
import { lookUpSubmitted, submitPrompt } from "./submit-prompt.ts";
import { type TakeBackOptions } from "./take-back.ts";
import { watchPrompt } from "./watch-prompt.ts";

export interface ProcessJobOptions extends EndJobOptions, RefusalOptions, TakeBackOptions {
  runs: EndJobOptions["runs"];
  log: Logger;
  /** An executing prompt that sends no message for this long is given up. */
  stallMs: number;
  /** How long a server may fail to say what became of a prompt. */
  graceMs: number;
  /** A POST may take this long, and is only begun with this much of the lease left. */
  postTimeoutMs: number;
  /** Of prompts that do not say it themselves. */
  previewMethod: string;
  storageWatch: StoragePatienceOptions["watch"];
  /** How long a job waits for a storage that cannot be used. */
  storageGraceMs: number;
  /** Gets how long each finished execution took. */
  measures: Pick<LaneMeasures, "note">;
  durations: Pick<KnownDurations, "find" | "note">;
  previews: Pick<Previews, "begin" | "note" | "forget">;
  /** Take what servers say about the prompts of clients of ComfyUI's protocol. */
  doorMessages: Pick<DoorMessageGiver, "publish" | "isHeard">;
  tracing: Tracing;
  /** Called when this run no longer needs its slot. */
  onSlotFreed: () => void;
}

/**
 * One job's run under this worker's lease: submit or adopt, watch, save, end. Never throws; a job that it cannot finish
 * is left until its lease expires.
 */
export async function processJob(run: Run, server: JobServer, given: ProcessJobOptions): Promise<void> {
  const { jobId, promptId } = run;
  const traceId = traceIdOf(run.leased.job.traceparent);
  const log = given.log.child({
    ...{ jobId, attempt: run.leased.attempt, promptId, server: server.url },
    ...(traceId !== null && { traceId }),
  });
  // Every line of the run says which run it is.
  const options = { ...given, log };
  if (run.leased.door !== null) run.relay = new DoorRelay(run, options.doorMessages);
  const runTrace = new RunTrace(run, server.url, given.tracing);
  let outcome = "left";
  try {
    const prompt = await runTrace.during("comfyui", async () => {
      const isOnServer = await (run.wasAdopted
        ? adopt(run, server, options)
        : submitPrompt(run, server, options));
      return isOnServer ? watchPrompt(run, server, options) : endWithoutWatch(run);
    });
    const endedAt = performance.now();
    if (hasLetGo(prompt)) {
      server.notePromptGone(run);
      server.notePlaceFreed(run.endHeardAt ?? endedAt);
    }
    freeSlot(run, server, options);
    noteOnServer(run, server, prompt);
    const { lookup } = prompt;
    if (lookup.state === "finished" && run.timing !== null)
      noteExecution(run, run.timing.measured(endedAt, lookup.executedMs), options);
    const outputs =
      lookup.state === "finished"
        ? await runTrace.during("storage", () => saveOutputs(run, server, lookup.history, options))
        : [];
    const status = await endJob(run, server, { kind: "prompt-ended", prompt, outputs }, options, log);
    outcome = status;
    if (status === "completed" && lookup.state === "finished" && run.timing !== null)
      noteDurations(run, server, run.timing.measured(endedAt, lookup.executedMs), options);
  } catch (error) {
    const wasOnServer = run.holdsSlot;
    freeSlot(run, server, options);
    outcome = (await endStoppedRun(run, server, { error, wasOnServer }, options, log)) ?? "left";
  } finally {
    runTrace.end(outcome);
    options.progress.forget(run);
    options.previews.forget(run);
  }
}

/**
 * A job that is still `waiting` may have been submitted without a record of it: the POST of its last owner may still be
 * on its way to a server that did not respond.
 * @returns whether the prompt is on the server
 */
async function adopt(run: Run, server: JobServer, options: ProcessJobOptions): Promise<boolean> {
  return run.leased.job.phase !== "waiting" || (await lookUpSubmitted(run, server, options));
}

/** The end of a prompt that is not on its server. */
function endWithoutWatch(run: Run): PromptEnd {
  const wasThere = run.wasAdopted || run.wasSent;
  const lookup: PromptEnd["lookup"] = wasThere ? { state: "absent", others: [] } : { state: "never-there" };
  return { lookup, endedBy: whyNotSent(run, wasThere), warnings: [] };
}

function whyNotSent(run: Run, wasThere: boolean): PromptEnd["endedBy"] {
  if (run.cancelSignal.aborted) return "cancel";
  const leftMs = run.queueLeftMs();
  return !wasThere && leftMs !== null && leftMs <= 0 ? "expiry" : null;
}

/** Its prompt finished. */
function noteExecution(run: Run, times: RunTimes, { measures, metrics }: ProcessJobOptions): void {
  measures.note(run.leased.job, times, run.hadToLoad);
  metrics.noteExecuted(run.leased.job.type, times.totalMs);
}

/** The job is completed: what later estimates learn from its execution, and how far off its own estimate was. */
function noteDurations(run: Run, server: JobServer, times: RunTimes, options: ProcessJobOptions): void {
  const { measure, hadToLoad } = run;
  const error = measure.errorOf(times.totalMs);
  options.durations.note(measure.completed(times, hadToLoad, server.id), error);
  options.metrics.noteEstimateError(run.leased.job.type, error);
}

function freeSlot(run: Run, server: JobServer, options: ProcessJobOptions): void {
  if (!run.holdsSlot) return;
  run.holdsSlot = false;
  server.noteSlotFreed();
  options.onSlotFreed();
}

/** What the server's health learns from the end of a prompt. */
function noteOnServer(run: Run, server: JobServer, prompt: PromptEnd): void {
  const verdict = serverVerdict(prompt, run);
  if (verdict === null) return;
  if (verdict.verdict === "lost-a-job") server.noteJobLost(run.shownText(verdict.reason));
  else server.noteJobEnded(verdict.verdict === "works");
}
