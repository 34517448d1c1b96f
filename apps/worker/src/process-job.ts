import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError, prepareForSubmission } from "@genga/comfyui";
import {
  type AttemptEnd,
  type AttemptRecorder,
  endAfterFailure,
  LeaseLostError,
  type NewOutput,
  type JobStore,
  type OutputStorage,
  poisonCode,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { outputOptionsOf } from "@genga/workflows";
import { deadlineFailure, expiryFailure, failureOf, failureOfPrompt } from "./job-failure.ts";
import { type OwnedServer } from "./owned-server.ts";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Run, RunStopped } from "./run.ts";
import { sendUploads } from "./send-uploads.ts";
import { removeOutputs, storeOutputs } from "./store-outputs.ts";
import { watchPrompt, type WatchResult } from "./watch-prompt.ts";

export interface ProcessJobOptions {
  recorder: AttemptRecorder;
  store: Pick<JobStore, "listAttempts">;
  storage: OutputStorage;
  tickets: TicketQueue;
  progress: ProgressWriter;
  log: Logger;
  /** A POST may take this long, and is only begun with this much of the lease left. */
  postTimeoutMs: number;
  /** The slot of this run is free. */
  onSlotFreed: () => void;
}

/** A ticket handed back by a worker that stops: long enough for the successor to adopt the job first. */
const handOverDelayMs = 3_000;

/**
 * One job's life under our lease: submit (or adopt), watch, save, end. Never throws; what it cannot finish is left to
 * the lease's expiry.
 */
export async function processJob(run: Run, server: OwnedServer, options: ProcessJobOptions): Promise<void> {
  const log = options.log.child({ jobId: run.jobId, attempt: run.leased.attempt, server: server.url });
  try {
    const result = await bringToItsEnd(run, server, options);
    freeSlot(run, options);
    const { end, outputs } = await decideEnd(run, server, result, options);
    await recordEnd(run, end, outputs, options, log);
  } catch (error) {
    freeSlot(run, options);
    await endStopped(run, server, error, options, log);
  } finally {
    options.progress.forget(run);
  }
}

/** Until the server has let go of the prompt. @throws RunStopped, or whatever made it impossible */
async function bringToItsEnd(
  run: Run,
  server: OwnedServer,
  options: ProcessJobOptions,
): Promise<WatchResult> {
  if (!run.wasAdopted) {
    const isThere = !run.cancelSignal.aborted && (await submit(run, server, options));
    if (!isThere)
      return { lookup: { state: "never-there" }, endedBy: run.cancelSignal.aborted ? "cancel" : null };
  }
  options.progress.report(run, run.isExecuting ? "executing" : "submitted", run.progress);
  return watchPrompt(run, server, options.progress, options.log);
}

/** Posts the prompt, once. `false` = it is certainly not there. */
async function submit(run: Run, server: OwnedServer, options: ProcessJobOptions): Promise<boolean> {
  const { leased } = run;
  const { postTimeoutMs } = options;
  const { connector } = server;
  const withUploads = await sendUploads(leased.workflow, {
    connector,
    storage: options.storage,
    signal: run.stopSignal,
  });
  const workflow = prepareForSubmission(withUploads, {
    filenamePrefix: `genga/${leased.jobId}-${leased.attempt}`,
  });
  await connector.connect({ signal: run.stopSignal, timeoutMs: postTimeoutMs });
  // The prompt id is in the row since the claim. With so much of the lease left, no POST can outlive it; a successor
  // who looks after the lease's end sees what there will ever be.
  if (run.lease.leftMs() < postTimeoutMs) throw new RunStopped("lease-lost");
  try {
    await connector.submit({
      promptId: leased.promptId,
      clientId: leased.clientId,
      workflow,
      // Bounds reconnecting and POST together; firing in mid-request makes the outcome unknown.
      signal: AbortSignal.timeout(postTimeoutMs),
    });
    return true;
  } catch (error) {
    if (!(error instanceof ComfyUIError) || error.retry !== "look_first") throw error;
    return lookForSubmitted(run, server, postTimeoutMs);
  }
}

/** The POST got no reply: it is never sent again, but looked for until it cannot arrive any more. */
async function lookForSubmitted(run: Run, server: OwnedServer, postTimeoutMs: number): Promise<boolean> {
  const until = performance.now() + postTimeoutMs;
  for (;;) {
    try {
      const lookup = await server.connector.lookup(run.leased.promptId, { signal: run.stopSignal });
      if (lookup.state !== "absent") return true;
      if (performance.now() >= until) return false;
    } catch (error) {
      run.stopSignal.throwIfAborted();
      if (!(error instanceof ComfyUIError)) throw error;
      server.noteDoubt(error);
    }
    await sleep(Math.min(500, postTimeoutMs / 10), undefined, { signal: run.stopSignal });
  }
}

function freeSlot(run: Run, options: ProcessJobOptions): void {
  if (!run.holdsSlot) return;
  run.holdsSlot = false;
  options.onSlotFreed();
}

/** What the prompt's end means for the job; saves the outputs of a finished one. */
async function decideEnd(
  run: Run,
  server: OwnedServer,
  result: WatchResult,
  options: ProcessJobOptions,
): Promise<{ end: AttemptEnd; outputs: NewOutput[] }> {
  const { lookup, endedBy } = result;
  noteOnServer(run, server, result);
  if (lookup.state === "finished") {
    options.progress.report(run, "saving", run.progress);
    const outputs = await storeOutputs({
      connector: server.connector,
      storage: options.storage,
      lease: run.leased,
      history: lookup.history,
      wanted: outputOptionsOf(run.leased.parameters),
      signal: run.stopSignal,
    });
    return { end: { kind: "completed", outputs }, outputs };
  }
  const end = await namingCrashes(
    run,
    server,
    endWithoutOutputs(run, server, lookup, endedBy),
    options.store,
  );
  if ("failure" in end && end.failure.class === "out_of_memory") await freeMemory(server, options.log);
  return { end, outputs: [] };
}

/** A job that is held responsible for crashes is told on which servers. */
async function namingCrashes(
  run: Run,
  server: OwnedServer,
  end: AttemptEnd,
  store: ProcessJobOptions["store"],
): Promise<AttemptEnd> {
  if (end.kind !== "failed" || end.failure.code !== poisonCode) return end;
  const attempts = await store.listAttempts(run.jobId);
  const crashed = attempts.filter(({ failure }) => failure?.code === lossReasons.absent.code);
  const urls = [...new Set([...crashed.map(({ serverUrl }) => serverUrl), server.url])];
  const message = `${end.failure.message} The servers: ${urls.join(", ")}.`;
  return { ...end, failure: { ...end.failure, message } };
}

/** What the server's circuit learns from the end of a prompt. */
function noteOnServer(run: Run, server: OwnedServer, { lookup, endedBy }: WatchResult): void {
  if (lookup.state === "finished" || lookup.state === "failed") server.noteJobEnded();
  else if (lookup.state === "absent" && endedBy === null && run.isExecuting)
    server.noteJobLost(lossReasons.absent.message);
}

/** Whoever runs there next should not fail for what this job left behind. */
async function freeMemory(server: OwnedServer, log: Logger): Promise<void> {
  try {
    await server.connector.free({ unloadModels: true, freeMemory: true });
  } catch (error) {
    log.warn({ err: error, server: server.url }, "the server could not be asked to free memory");
  }
}

function endWithoutOutputs(
  run: Run,
  server: OwnedServer,
  lookup: Exclude<WatchResult["lookup"], { state: "finished" }>,
  endedBy: WatchResult["endedBy"],
): AttemptEnd {
  if (lookup.state === "failed") return afterFailure(run, failureOfPrompt(lookup));
  if (endedBy === "cancel") return { kind: "cancelled" };
  if (endedBy === "expiry") return { kind: "timeout", failure: expiryFailure };
  if (endedBy === "deadline") return { kind: "timeout", failure: deadlineFailure(run.leased.job.timeoutMs) };
  const { code, message } = lossReasons[lookup.state];
  // A server that an operator drains is restarted on purpose: that is not held against the job.
  const hasCrashed = lookup.state === "absent" && run.isExecuting && !server.isDraining;
  return afterFailure(run, { class: "server", code, message }, hasCrashed);
}

const lossReasons = {
  interrupted: {
    code: "prompt-interrupted",
    message: "The prompt was interrupted on the server by somebody else.",
  },
  absent: {
    code: "prompt-lost",
    message: "The server does not know the prompt; it was probably restarted.",
  },
  "never-there": { code: "not-submitted", message: "The prompt never reached the server." },
  stuck: { code: "prompt-stuck", message: "The server did not let go of the prompt." },
} as const;

function afterFailure(run: Run, failure: ReturnType<typeof failureOf>, wasExecuting = false): AttemptEnd {
  return endAfterFailure(run.leased.job, failure, { wasExecuting, random: Math.random() });
}

/** The fenced transaction, repeated while the database is away: the result is kept until it is back or taken over. */
async function recordEnd(
  run: Run,
  end: AttemptEnd,
  outputs: NewOutput[],
  options: ProcessJobOptions,
  log: Logger,
): Promise<void> {
  await options.progress.settle(run);
  for (let tries = 0; ; tries += 1) {
    try {
      const { job } = await options.recorder.end(run.leased, end);
      log.info({ status: job.status, outputs: outputs.length, reason: reasonOf(end) }, "attempt ended");
      await finishTicket(run, end, job.status, options, log);
      return;
    } catch (error) {
      if (error instanceof LeaseLostError || run.stopSignal.aborted) {
        await removeOutputs(options.storage, outputs);
        throw error instanceof LeaseLostError ? new RunStopped("lease-lost") : error;
      }
      log.warn({ err: error, tries }, "the end of the attempt could not be recorded yet");
      await sleep(Math.min(250 * 2 ** tries, 5_000), undefined, { signal: run.stopSignal }).catch(
        () => undefined,
      );
    }
  }
}

async function finishTicket(
  run: Run,
  end: AttemptEnd,
  status: string,
  options: ProcessJobOptions,
  log: Logger,
): Promise<void> {
  if (run.ticket === null) return;
  try {
    await options.tickets.finish(
      run.ticket,
      end.kind === "completed" ? { kind: "completed" } : { kind: "failed", reason: reasonOf(end) ?? status },
    );
  } catch (error) {
    log.warn({ err: error }, "the ticket of an ended job could not be finished; whoever takes it drops it");
  }
}

/** The run was stopped, or broke: hand over, or let the retry rule decide. */
async function endStopped(
  run: Run,
  server: OwnedServer,
  error: unknown,
  options: ProcessJobOptions,
  log: Logger,
): Promise<void> {
  const stop = run.stopSignal.reason instanceof RunStopped ? run.stopSignal.reason.stop : stopOf(error);
  if (stop === "lease-lost" || stop === "hand-over") {
    log.info({ stop }, stop === "hand-over" ? "left to its successor" : "another worker holds the job now");
    await returnTicket(run, options, log);
    return;
  }
  const failure =
    stop === "server-lost"
      ? {
          class: "server" as const,
          code: "server-lost",
          message: "Its server has not answered for too long.",
        }
      : failureOf(error);
  if (stop === null) log.warn({ err: error }, "attempt failed");
  if (stop === null && failure.class === "server") server.noteJobLost(failure.message);
  try {
    await recordEnd(run, afterFailure(run, failure), [], options, log);
  } catch (cause) {
    log.warn({ err: cause }, "the failed attempt is left to its lease");
    await returnTicket(run, options, log);
  }
}

async function returnTicket(run: Run, options: ProcessJobOptions, log: Logger): Promise<void> {
  if (run.ticket === null) return;
  try {
    await options.tickets.giveBack(run.ticket, { delayMs: handOverDelayMs });
  } catch (error) {
    log.debug({ err: error }, "a ticket could not be given back; it will be found stalled");
  }
}

function stopOf(error: unknown): RunStopped["stop"] | null {
  return error instanceof RunStopped ? error.stop : null;
}

function reasonOf(end: AttemptEnd): string | undefined {
  switch (end.kind) {
    case "completed":
      return undefined;
    case "cancelled":
      return "cancelled";
    case "failed":
    case "timeout":
      return end.failure.message;
    case "requeue":
      return `requeued: ${end.failure.message}`;
  }
}
