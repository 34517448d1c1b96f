import { setTimeout as sleep } from "node:timers/promises";
import {
  type AttemptEnd,
  type AttemptRecorder,
  type JobFailure,
  LeaseLostError,
  type NewOutput,
  type OutputStorage,
  StoreUnavailableError,
  type TicketEnd,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Run, RunStopped } from "./run.ts";
import { shownEnd } from "./shown-end.ts";
import { removeOutputs } from "../files/store-outputs.ts";

export interface RecordEndOptions {
  recorder: AttemptRecorder;
  storage: OutputStorage;
  tickets: TicketQueue;
  progress: ProgressWriter;
}

/** Tries before an end that the database refuses (rather than being away) is given up. */
const refusalsMax = 3;
/** A ticket handed back by a worker that stops: long enough for the successor to adopt the job first. */
const handOverDelayMs = 3_000;

/** The fenced transaction, repeated while the database is away: the result is kept until it is back or taken over. */
export async function recordEnd(
  run: Run,
  asItWas: AttemptEnd,
  outputs: NewOutput[],
  options: RecordEndOptions,
  log: Logger,
): Promise<void> {
  const end = shownEnd(asItWas, (text) => run.shownText(text));
  await options.progress.settle(run);
  for (let tries = 0; ; tries += 1) {
    try {
      const { job } = await options.recorder.end(run.leased, end);
      log.info({ status: job.status, outputs: outputs.length, reason: reasonOf(end) }, "attempt ended");
      await finishTicket(run, end, job.status, options, log);
      await removeLeftovers(run, end, outputs, options, log);
      return;
    } catch (error) {
      if (error instanceof LeaseLostError) {
        await removeOutputs(options.storage, outputs);
        throw new RunStopped("lease-lost");
      }
      // Files are left where they are: the transaction may have taken effect, and then they are the job's.
      if (isOver(run)) throw error;
      if (!(error instanceof StoreUnavailableError) && tries >= refusalsMax) {
        await removeOutputs(options.storage, outputs);
        if (end.kind === "failed") throw error;
        log.error({ err: error }, "the database refuses the end of the attempt");
        await recordEnd(run, { kind: "failed", failure: refusedFailure(error) }, [], options, log);
        return;
      }
      log.warn({ err: error, tries }, "the end of the attempt could not be recorded yet");
      await sleep(Math.min(250 * 2 ** tries, 5_000));
    }
  }
}

/**
 * Files that no row names: of workers that died, and of writes of our own whose answer was lost. A first lease that
 * completed has neither predecessors nor files without a name.
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
    // No row names them, so nobody sees them; they only take room.
    log.warn({ err: error }, "files that no row names could not be removed");
  }
}

/** Somebody else will end the job. A lost server is no such case: then it is for us to say so. */
function isOver(run: Run): boolean {
  const reason: unknown = run.stopSignal.reason;
  return reason instanceof RunStopped && reason.stop !== "server-lost";
}

function refusedFailure(error: unknown): JobFailure {
  const why = error instanceof Error ? error.message : String(error);
  return {
    class: "execution",
    code: "result-refused",
    message: `The result could not be recorded: ${why}`.slice(0, 500),
  };
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

/** A ticket handed back is found again when the successor has adopted the job. */
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
