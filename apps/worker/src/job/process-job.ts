import { ComfyUIError, type HistoryEntry } from "@genga/comfyui";
import {
  type AttemptEnd,
  endAfterFailure,
  type NewOutput,
  poisonCode,
  StoreUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { outputOptionsOf } from "@genga/workflows";
import { type EndedPrompts } from "../servers/ended-prompts.ts";
import { forgetPrompt } from "./forget-prompt.ts";
import { deadlineFailure, expiryFailure, failureOf, failureOfPrompt } from "./job-failure.ts";
import { ExtraDataError } from "./extra-data.ts";
import { type OwnedServer, unreadable } from "../servers/owned-server.ts";
import { recordEnd, type RecordEndOptions, returnTicket } from "./record-end.ts";
import { isRefusal, isWorthAnotherTry, type RefusalOptions } from "./refusal.ts";
import { type Run, RunStopped } from "./run.ts";
import { storeOutputs } from "../files/store-outputs.ts";
import { lookForSubmitted, submitPrompt } from "./submit-prompt.ts";
import { watchPrompt, type WatchResult } from "./watch-prompt.ts";

export interface ProcessJobOptions extends RecordEndOptions, RefusalOptions {
  log: Logger;
  /** An executing prompt of which nothing is heard for so long is given up. */
  stallMs: number;
  /** So long may a server fail to say what became of a prompt. */
  graceMs: number;
  /** A POST may take this long, and is only begun with this much of the lease left. */
  postTimeoutMs: number;
  endedPrompts: Pick<EndedPrompts, "noteForgotten">;
  /** The slot of this run is free. */
  onSlotFreed: () => void;
}

/**
 * One job's life under our lease: submit (or adopt), watch, save, end. Never throws; what it cannot finish is left to
 * the lease's expiry.
 */
export async function processJob(run: Run, server: OwnedServer, options: ProcessJobOptions): Promise<void> {
  const log = options.log.child({ jobId: run.jobId, attempt: run.leased.attempt, server: server.url });
  try {
    const result = await bringToItsEnd(run, server, options);
    if (hasLetGo(result)) server.notePromptGone(run);
    freeSlot(run, options);
    const { end, outputs } = await decideEnd(run, server, result, options);
    await recordEnd(run, end, outputs, options, log);
    if (hasLetGo(result)) await forget(run, server, { signal: run.stopSignal, log }, options);
  } catch (error) {
    const wasOnServer = run.holdsSlot;
    freeSlot(run, options);
    await endStopped(run, server, { error, wasOnServer }, options, log);
  } finally {
    options.progress.forget(run);
  }
}

/**
 * Only of a prompt that the server has let go of. What is not done here is done by whoever owns the server: the end has noted
 * the prompt.
 */
async function forget(
  { leased: { promptId } }: Run,
  { connector }: OwnedServer,
  how: Parameters<typeof forgetPrompt>[2],
  { endedPrompts }: ProcessJobOptions,
): Promise<void> {
  if (await forgetPrompt(connector, promptId, how)) endedPrompts.noteForgotten(promptId);
}

/** Until the server has let go of the prompt. @throws RunStopped, or whatever made it impossible */
async function bringToItsEnd(
  run: Run,
  server: OwnedServer,
  options: ProcessJobOptions,
): Promise<WatchResult> {
  const isThere = run.wasAdopted
    ? await isAdoptable(run, server, options)
    : !run.cancelSignal.aborted && (await submitPrompt(run, server, options));
  if (!isThere) {
    const endedBy = run.cancelSignal.aborted ? "cancel" : null;
    const wasThere = run.wasAdopted || run.wasSent;
    return { lookup: { state: wasThere ? "absent" : "never-there" }, endedBy, warnings: [] };
  }
  options.progress.report(run, run.isExecuting ? "executing" : "submitted", run.progress);
  return watchPrompt(run, server, options);
}

/** Whether it was submitted was not recorded: its last owner's POST may be waiting in a server that stood still. */
async function isAdoptable(run: Run, server: OwnedServer, options: ProcessJobOptions): Promise<boolean> {
  return run.leased.job.phase !== "waiting" || (await lookForSubmitted(run, server, options));
}

function freeSlot(run: Run, options: ProcessJobOptions): void {
  if (!run.holdsSlot) return;
  run.holdsSlot = false;
  options.onSlotFreed();
}

/** The server is done with the prompt, or never had it; otherwise what took it may have taken those behind it as well. */
function hasLetGo({ lookup, endedBy }: WatchResult): boolean {
  return lookup.state === "absent" ? endedBy !== null : lookup.state !== "stuck";
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
    const outputs = await collectOutputs(run, server, lookup.history, options);
    return { end: { kind: "completed", outputs, warnings: result.warnings }, outputs };
  }
  const end = await namingCrashes(run, server, endWithoutOutputs(run, server, lookup, endedBy), options.runs);
  if ("failure" in end && end.failure.class === "out_of_memory") await freeMemory(run, server, options.log);
  return { end, outputs: [] };
}

/** What the server cannot serve although it is up would not come out of another render either. */
async function collectOutputs(
  run: Run,
  server: OwnedServer,
  history: HistoryEntry,
  { storage, graceMs }: ProcessJobOptions,
): Promise<NewOutput[]> {
  const wanted = outputOptionsOf(run.leased.parameters);
  const { connector } = server;
  const { leased: lease, names, stopSignal: signal } = run;
  const store = async (patienceMs: number): Promise<NewOutput[] | ComfyUIError> => {
    try {
      return await storeOutputs({
        ...{ connector, storage, lease, history, wanted, names },
        shownText: (text) => run.shownText(text),
        ...{ graceMs: patienceMs, signal },
      });
    } catch (error) {
      signal.throwIfAborted();
      const isServers = error instanceof ComfyUIError && error.errorClass === "server";
      if (!isServers || error.code === "connector_closed") throw error;
      await server.requireAnswers(signal);
      return error;
    }
  };
  const first = await store(graceMs);
  // It may have come back in this very moment.
  const outputs = first instanceof ComfyUIError ? await store(0) : first;
  if (outputs instanceof ComfyUIError) throw unreadable(outputs);
  return outputs;
}

/** A job that is held responsible for crashes is told on which servers. */
async function namingCrashes(
  run: Run,
  server: OwnedServer,
  end: AttemptEnd,
  runs: ProcessJobOptions["runs"],
): Promise<AttemptEnd> {
  if (end.kind !== "failed" || end.failure.code !== poisonCode) return end;
  try {
    const attempts = await runs.listAttempts(run.jobId);
    const crashed = attempts.filter(({ failure }) => failure !== null && crashCodes.has(failure.code));
    const urls = [...new Set([...crashed.map(({ serverUrl }) => serverUrl), server.url])];
    const message = `${end.failure.message} The servers: ${urls.join(", ")}.`;
    return { ...end, failure: { ...end.failure, message } };
  } catch (error) {
    if (error instanceof StoreUnavailableError) return end;
    throw error;
  }
}

/** What the server's circuit learns from the end of a prompt. */
function noteOnServer(run: Run, server: OwnedServer, { lookup, endedBy }: WatchResult): void {
  if (lookup.state === "finished" || lookup.state === "failed") server.noteJobEnded();
  else if (endedBy === "stall") server.noteJobLost(stallMessage);
  else if (lookup.state === "absent" && endedBy === null && run.mayHaveBegun)
    server.noteJobLost(lossReasons.absent.message);
}

/** Whoever runs there next should not fail for what this job left behind. */
async function freeMemory(run: Run, server: OwnedServer, log: Logger): Promise<void> {
  try {
    await server.connector.free({ unloadModels: true, freeMemory: true, signal: run.stopSignal });
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
  if (endedBy === "stall") {
    // It may be the graph that hangs: three servers that stall with it are as good as three that crash.
    return afterFailure(
      run,
      { class: "server", code: stallCode, message: stallMessage },
      { wasExecuting: true },
    );
  }
  const { code, message } = lossReasons[lookup.state];
  // A server that an operator drains is restarted on purpose: that is not held against the job.
  const hasCrashed = lookup.state === "absent" && run.mayHaveBegun && !server.isDraining;
  return afterFailure(run, { class: "server", code, message }, { wasExecuting: hasCrashed });
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

/** For removing a prompt from a server that is given up. */
const takeBackMs = 4_000;
const serverLostCode = "server-lost";
const stallCode = "prompt-stalled";
const stallMessage =
  "Nothing was heard of the prompt for too long while it executed (STALL_MS); it was interrupted.";
const crashCodes: ReadonlySet<string> = new Set([lossReasons.absent.code, serverLostCode, stallCode]);

function afterFailure(
  run: Run,
  failure: ReturnType<typeof failureOf>,
  circumstances: { wasExecuting?: boolean; mayRunElsewhere?: boolean } = {},
): AttemptEnd {
  return endAfterFailure(run.leased.job, failure, {
    wasExecuting: false,
    ...circumstances,
    random: Math.random(),
  });
}

/** The run was stopped, or broke: hand over, or let the retry rule decide. */
async function endStopped(
  run: Run,
  server: OwnedServer,
  broken: { error: unknown; wasOnServer: boolean },
  options: ProcessJobOptions,
  log: Logger,
): Promise<void> {
  const { error } = broken;
  const stop = run.stopSignal.reason instanceof RunStopped ? run.stopSignal.reason.stop : stopOf(error);
  if (stop === "lease-lost" || stop === "hand-over") {
    log.info({ stop }, stop === "hand-over" ? "left to its successor" : "another worker holds the job now");
    await returnTicket(run, options, log);
    return;
  }
  // An error may quote what a server said, and a server what it was given.
  const told = run.hasSecrets ? { reason: run.shownText(String(error)) } : { err: error };
  if (stop === null) log.warn(told, "attempt failed");
  try {
    await recordEnd(run, await endAfterBreak(run, server, stop, broken, options), [], options, log);
    if (stop === null) await forget(run, server, { log }, options);
  } catch (cause) {
    log.warn({ err: cause }, "the failed attempt is left to its lease");
    await returnTicket(run, options, log);
  }
}

async function endAfterBreak(
  run: Run,
  server: OwnedServer,
  stop: "server-lost" | null,
  { error, wasOnServer }: { error: unknown; wasOnServer: boolean },
  options: ProcessJobOptions,
): Promise<AttemptEnd> {
  if (stop === null) {
    const failure = failureOf(error);
    const isServersFault = failure.class === "server" && !(error instanceof ExtraDataError);
    if (isServersFault) server.noteJobLost(run.shownText(failure.message));
    const mayRunElsewhere = isRefusal(error) && (await isWorthAnotherTry(run, server, error, options));
    return afterFailure(run, failure, { mayRunElsewhere });
  }
  if (wasOnServer && server.isAnswering && run.lease.leftMs() > 0) await takeBack(run, server, options.log);
  const message = `Its server was given up. ${server.reason ?? ""}`.trim();
  // A server that answers has not died of a prompt of which it has said nothing.
  const mayBeToBlame = run.isExecuting || (run.mayHaveBegun && !server.isAnswering);
  const hasCrashed = wasOnServer && mayBeToBlame && !server.isDraining;
  const end = afterFailure(
    run,
    { class: "server", code: serverLostCode, message },
    { wasExecuting: hasCrashed },
  );
  return namingCrashes(run, server, end, options.runs);
}

/** A wedged server still answers, and may come to itself: what waits there must not run beside the next attempt. */
async function takeBack(run: Run, server: OwnedServer, log: Logger): Promise<void> {
  try {
    const signal = AbortSignal.timeout(takeBackMs);
    await server.connector.cancelPrompt(run.leased.promptId, { signal, timeoutMs: takeBackMs / 2 });
  } catch (error) {
    // Its owner removes it when it sees it.
    log.warn({ err: error }, "the prompt could not be taken back from the server");
  }
}

/** A connector is closed only when its server is no longer ours: then the prompt is its next owner's. */
function stopOf(error: unknown): RunStopped["stop"] | null {
  if (error instanceof ComfyUIError && error.code === "connector_closed") return "hand-over";
  return error instanceof RunStopped ? error.stop : null;
}
