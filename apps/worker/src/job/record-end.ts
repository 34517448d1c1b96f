import { type ComfyUIConnector } from "@genga/comfyui";
import {
  type AttemptEnd,
  type AttemptRecorder,
  type DoorFiles,
  type JobRuns,
  type JobStatus,
  LeaseLostError,
  type NewOutput,
  type OutputStorage,
  StoreUnavailableError,
  type TicketEnd,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import pRetry from "p-retry";
import { doorEntryOf } from "../door/door-entry.ts";
import { NamedOutputs } from "../door/named-outputs.ts";
import { removeOutputs, storedReferences } from "../files/store-outputs.ts";
import { type RunMetrics } from "../metrics/run-metrics.ts";
import {
  blamesJobForCrashes,
  endOf,
  mayForgetPrompt,
  namingCrashedServers,
  type RunOutcome,
  unrecordableEnd,
} from "./job-end.ts";
import { type JobServer } from "./job-server.ts";
import { freeMemory } from "./leave-server.ts";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Run, RunStopped } from "./run.ts";
import { shownEnd } from "./shown-end.ts";

export interface RecordEndOptions {
  recorder: AttemptRecorder;
  storage: OutputStorage;
  tickets: TicketQueue;
  progress: ProgressWriter;
}

export interface EndJobOptions extends RecordEndOptions {
  runs: Pick<JobRuns, "listAttempts" | "listOwned">;
  metrics: RunMetrics;
  /** Name the files of clients of ComfyUI's protocol. */
  doorFiles: Pick<DoorFiles, "nameOutputs">;
  /** Deletes the entries of ended prompts from the history of their server. */
  endedPrompts: { forgetSoon: (connector: ComfyUIConnector, promptId: string) => void };
  log: Logger;
}

/** Recording an end is repeated without limit: 0.25 s after the first try, then after longer and longer waits of at most 5 s. */
const recordRetries = { retries: Infinity, minTimeout: 250, maxTimeout: 5_000 };
/** How often an end is tried that the database refuses although it is available. */
const refusalsMax = 3;
/** A worker that stops gives tickets back with this delay, so that the successor adopts the job before it gets one. */
const handOverDelayMs = 3_000;

/**
 * Ends the attempt as the outcome of its run requires (`job-end.ts`). The prompt's entry in the server's history is deleted
 * soon afterwards. If the prompt has not left the server, the entry is left to the owner of the server.
 * @returns the status of the job now
 * @throws RunStopped another worker holds the job
 */
export async function endJob(
  run: Run,
  server: JobServer,
  outcome: RunOutcome,
  options: EndJobOptions,
  log: Logger,
): Promise<JobStatus> {
  const { isExecuting, mayHaveBegun, hasExpired } = run;
  const { isAnswering, reason } = server;
  const isDraining = server.isDraining || (run.wasAdopted && server.wasLeaving);
  const circumstances = {
    ...{ isExecuting, mayHaveBegun, hasExpired },
    server: { isAnswering, isDraining, reason },
  };
  const decided = endOf(run.leased.job, outcome, circumstances, Math.random());
  const end = await withCrashedServers(run, server, decided, options.runs);
  if ("failure" in end && end.failure.class === "out_of_memory") await freeMemory(run, server, options.log);
  const status = await recordEnd(run, end, entryOf(run, outcome, options), options, log);
  if (mayForgetPrompt(outcome)) options.endedPrompts.forgetSoon(server.connector, run.promptId);
  return status;
}

/**
 * What the server's history says of the prompt of a client of ComfyUI's protocol; its files get their names first, which a later attempt
 * to record the end finds again.
 */
function entryOf(
  run: Run,
  outcome: RunOutcome,
  { doorFiles }: Pick<EndJobOptions, "doorFiles">,
): () => Promise<string | undefined> {
  const { door, jobId } = run.leased;
  if (door === null || outcome.kind !== "prompt-ended") return () => Promise.resolve(undefined);
  const { prompt, outputs } = outcome;
  const { lookup } = prompt;
  if (lookup.state === "stuck" || lookup.state === "never-there") return () => Promise.resolve(undefined);
  return async () => {
    const names =
      lookup.state === "finished"
        ? await NamedOutputs.of(
            storedReferences(lookup.history, { keepPreviews: true }),
            outputs,
            { workflow: run.workflow, socketNodes: door.socketNodes },
            (files) => doorFiles.nameOutputs(jobId, files),
          )
        : NamedOutputs.none();
    return doorEntryOf(run, door, lookup, names);
  };
}

/** If the job is blamed for crashes, its failure names the servers that crashed. */
async function withCrashedServers(
  run: Run,
  server: JobServer,
  end: AttemptEnd,
  runs: EndJobOptions["runs"],
): Promise<AttemptEnd> {
  if (!blamesJobForCrashes(end)) return end;
  try {
    return namingCrashedServers(end, await runs.listAttempts(run.jobId), server.url);
  } catch (error) {
    if (error instanceof StoreUnavailableError) return end;
    throw error;
  }
}

/**
 * The fenced transaction that ends the attempt. It is repeated until the database takes it, or until another worker holds
 * the job.
 */
async function recordEnd(
  run: Run,
  decided: AttemptEnd,
  entry: () => Promise<string | undefined>,
  options: EndJobOptions,
  log: Logger,
): Promise<JobStatus> {
  const end = shownEnd(decided, (text) => run.shownText(text));
  const outputs = end.kind === "completed" ? end.outputs : [];
  await options.progress.writeNow(run);
  try {
    const { job } = await pRetry(async () => options.recorder.end(run.leased, end, await entry()), {
      ...recordRetries,
      shouldRetry: ({ error, attemptNumber: tries }) => {
        if (error instanceof LeaseLostError || isOver(run)) return false;
        if (!(error instanceof StoreUnavailableError) && tries > refusalsMax) return false;
        log.warn({ err: error, tries }, "the end of the attempt could not be recorded yet");
        return true;
      },
    });
    options.metrics.noteAttemptEnd(job.type, end, job.status);
    log.info({ status: job.status, outputs: outputs.length, reason: reasonOf(end) }, "attempt ended");
    await finishTicket(run, end, job.status, options, log);
    await removeLeftovers(run, end, outputs, options, log);
    return job.status;
  } catch (error) {
    if (error instanceof LeaseLostError) {
      await removeUnowned(outputs, options, log);
      throw new RunStopped("lease-lost");
    }
    // Stored files stay, because the transaction may have taken effect, and then the job's rows name them.
    if (isOver(run) || error instanceof StoreUnavailableError) throw error;
    await removeOutputs(options.storage, outputs);
    if (end.kind === "failed") throw error;
    log.error({ err: error }, "the database refuses the end of the attempt");
    return await recordEnd(run, unrecordableEnd(error), () => Promise.resolve(undefined), options, log);
  }
}

/**
 * Removes the outputs of a lost lease. If the answer to the transaction was lost and the job was removed since, other jobs
 * may own them.
 */
async function removeUnowned(
  outputs: NewOutput[],
  { runs, storage }: EndJobOptions,
  log: Logger,
): Promise<void> {
  try {
    const owned = new Set(await runs.listOwned(outputs.flatMap(({ storageKey }) => storageKey ?? [])));
    await removeOutputs(
      storage,
      outputs.filter(({ storageKey }) => storageKey !== null && !owned.has(storageKey)),
    );
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    log.warn({ err: error }, "files of a lost lease stay until their job is removed");
  }
}

/**
 * Removes files that no row names: files of workers that died, and of this worker's own transactions whose answer was
 * lost. An attempt that completed under its first lease has no such files.
 */
async function removeLeftovers(
  run: Run,
  end: AttemptEnd,
  outputs: NewOutput[],
  { storage }: RecordEndOptions,
  log: Logger,
): Promise<void> {
  const { jobId, leaseNumber } = run.leased;
  if (leaseNumber === 1 && end.kind === "completed") return;
  try {
    const keep = outputs.flatMap(({ storageKey }) => storageKey ?? []);
    const files = await storage.removeLeftovers({ jobId, leaseNumber, keep });
    if (files > 0) log.info({ files }, "files that no row names were removed");
  } catch (error) {
    // Files without a row are never served, so they only take disk space.
    log.warn({ err: error }, "files that no row names could not be removed");
  }
}

/** Another worker will end the job. After the loss of a server, this worker ends it. */
function isOver(run: Run): boolean {
  const reason: unknown = run.stopSignal.reason;
  return reason instanceof RunStopped && reason.stop !== "server-lost";
}

async function finishTicket(
  run: Run,
  end: AttemptEnd,
  status: string,
  options: RecordEndOptions,
  log: Logger,
): Promise<void> {
  const ticket = run.letTicketGo();
  if (ticket === null) return;
  try {
    await options.tickets.finish(ticket, ticketEndOf(end, status));
  } catch (error) {
    log.warn({ err: error }, "the ticket of an ended job could not be finished; whoever takes it drops it");
  }
}

/** @param status of the job now: a cancelled job stays cancelled, whatever became of its attempt */
function ticketEndOf(end: AttemptEnd, status: string): TicketEnd {
  if (status === "cancelled") return { kind: "cancelled" };
  switch (end.kind) {
    case "completed":
    case "cancelled":
      return { kind: end.kind };
    case "failed":
    case "timeout":
      return { kind: "failed", reason: end.failure.message };
    case "requeue":
      return status === "queued"
        ? { kind: "requeued", reason: end.failure.message }
        : { kind: "failed", reason: end.failure.message };
  }
}

/** Gives a ticket back. The successor takes it again after it has adopted the job. */
export async function returnTicket(run: Run, options: RecordEndOptions, log: Logger): Promise<void> {
  const ticket = run.letTicketGo();
  if (ticket === null) return;
  try {
    await options.tickets.giveBack(ticket, { delayMs: handOverDelayMs });
  } catch (error) {
    log.debug({ err: error }, "a ticket could not be given back; it will be found stalled");
  }
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
