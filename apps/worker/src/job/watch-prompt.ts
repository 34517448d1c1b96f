import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError, type SettledLookup, warningOf } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Run, RunStopped } from "./run.ts";

/** How long a server may take to let go of a prompt that it was told to end. */
const letGoMs = 60_000;
const timerMaxMs = 2 ** 31 - 1;
/** A silence is measured in so many parts. */
const stallTicks = 10;
/** A node that is run for each element of a list may be blocked as often. */
const warningsMax = 20;

/**
 * How a prompt ended, and whether we asked for it. `stuck`: told to end, and it does not; `never-there`: it was not
 * submitted, or never arrived.
 */
export interface WatchResult {
  lookup: SettledLookup | { state: "stuck" } | { state: "never-there" };
  endedBy: "cancel" | "deadline" | "expiry" | "stall" | null;
  /** What the server said of nodes that it gave up, if the prompt went on without them. */
  warnings: string[];
}

export interface WatchPromptOptions {
  progress: ProgressWriter;
  log: Logger;
  /** So long may nothing be heard of a prompt while it executes. */
  stallMs: number;
  /** So long may queue and history fail to say where the prompt stands. */
  graceMs: number;
}

/**
 * Watches a prompt to its end and passes on its progress. Ends it on a cancel request, at its deadline (counted from
 * execution), and when nothing was heard of it for `stallMs` while it executed; waits until the server has let go.
 * @throws RunStopped @throws ComfyUIError its end cannot be read
 */
export async function watchPrompt(
  run: Run,
  server: OwnedServer,
  options: WatchPromptOptions,
): Promise<WatchResult> {
  const { promptId, executionElapsedMs } = run.leased;
  const ending = new PromptEnding(run, server, options);
  const warnings = new Set<string>();
  const result = (lookup: WatchResult["lookup"]): WatchResult => ({
    lookup,
    endedBy: ending.endedBy,
    warnings: [...warnings].slice(0, warningsMax),
  });
  if (run.isExecuting) {
    ending.startDeadline(executionElapsedMs ?? 0);
    ending.noteSignOfLife();
  } else ending.startExpiry();
  try {
    for (;;) {
      try {
        return result(await followToItsEnd(run, server, ending, warnings, options));
      } catch (error) {
        run.stopSignal.throwIfAborted();
        if (ending.stuckSignal.aborted) {
          server.noteStuck(promptId);
          return result({ state: "stuck" });
        }
        if (!(error instanceof ComfyUIError) || error.code === "connector_closed") throw error;
        await server.confirmUnreadable(promptId, run.stopSignal);
      }
    }
  } finally {
    ending.dispose();
  }
}

/** @throws ComfyUIError queue and history have failed for `graceMs` @throws RunStopped */
async function followToItsEnd(
  run: Run,
  server: OwnedServer,
  ending: PromptEnding,
  warnings: Set<string>,
  { progress, graceMs }: WatchPromptOptions,
): Promise<SettledLookup> {
  const { workflow } = run;
  const { promptId, clientId } = run.leased;
  const signal = AbortSignal.any([run.stopSignal, ending.stuckSignal]);
  const events = server.connector.watch(promptId, { clientId, workflow, signal, unreachableMs: graceMs });
  for await (const event of events) {
    switch (event.type) {
      case "progress": {
        const { phase, ...figures } = event.progress;
        if (phase === "executing" && !run.isExecuting) {
          run.isExecuting = true;
          ending.startDeadline(0);
          ending.noteSignOfLife();
        }
        // The connector's `saving` is the server's; ours begins when we fetch the outputs.
        const shown = phase === "saving" || phase === "executing" ? "executing" : "submitted";
        progress.report(run, shown, {
          ...figures,
          percent: Math.max(figures.percent, run.progress.percent),
        });
        break;
      }
      case "settled":
        return event.lookup;
      case "unreachable":
        server.noteDoubt(event.error);
        break;
      case "message":
        // The greeting of a new connection names no prompt: a server whose executor is dead sends it as well.
        if (event.message.data.prompt_id !== undefined && run.isExecuting) ending.noteSignOfLife();
        // Usually the end, and then the history says so; see `warningOf`.
        if (event.message.type === "execution_error") warnings.add(warningOf(event.message.data));
        break;
      case "preview":
      case "text":
        if (run.isExecuting) ending.noteSignOfLife();
        break;
      case "reachable":
        break;
    }
  }
  throw new Error("The watch ended without a result.");
}

/** Tells the server to end the prompt, when it was asked for or its time is over, until it has. */
class PromptEnding {
  endedBy: WatchResult["endedBy"] = null;
  readonly #run: Run;
  readonly #server: OwnedServer;
  readonly #log: Logger;
  readonly #stuck = new AbortController();
  readonly #done = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  readonly #stallMs: number;
  #stallTicker: NodeJS.Timeout | null = null;
  #silentTicks = 0;

  constructor(run: Run, server: OwnedServer, options: { log: Logger; stallMs: number }) {
    this.#run = run;
    this.#server = server;
    this.#log = options.log;
    this.#stallMs = options.stallMs;
    if (run.cancelSignal.aborted) this.#end("cancel");
    else run.cancelSignal.addEventListener("abort", this.#onCancel, { once: true });
  }

  get stuckSignal(): AbortSignal {
    return this.#stuck.signal;
  }

  /** It executes: its time runs. @param elapsedMs how long it has been executing already */
  startDeadline(elapsedMs: number): void {
    if (this.endedBy === null) this.#endIn(this.#run.leased.job.timeoutMs - elapsedMs, "deadline");
  }

  /** It has not begun to execute; it may have to by some moment. */
  startExpiry(): void {
    const { expiresInMs } = this.#run.leased;
    if (expiresInMs !== null && this.endedBy === null) this.#endIn(expiresInMs, "expiry");
  }

  /** It executes and something was heard of it: from now on a silence is counted anew. */
  noteSignOfLife(): void {
    this.#silentTicks = 0;
    this.#stallTicker ??= setInterval(() => {
      this.#tickOfSilence();
    }, this.#stallMs / stallTicks);
  }

  /**
   * Counted in ticks rather than by the clock: while we were paused, or are not connected, or somebody else may hold the
   * job, we would not have heard anything, and that is not the prompt's silence.
   */
  #tickOfSilence(): void {
    const isOurs = this.#run.lease.leftMs() > 0;
    const isHearing = this.#server.connector.isHearing(this.#run.leased.clientId);
    this.#silentTicks = isOurs && isHearing ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks >= stallTicks) this.#end("stall");
  }

  dispose(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#stallTicker !== null) clearInterval(this.#stallTicker);
    this.#run.cancelSignal.removeEventListener("abort", this.#onCancel);
    this.#done.abort();
  }

  #endIn(leftMs: number, why: "deadline" | "expiry"): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    // Longer than a timer can wait: wait as long as it can, and again.
    const waitMs = Math.min(Math.max(0, leftMs), timerMaxMs);
    this.#timer = setTimeout(() => {
      if (leftMs > timerMaxMs) this.#endIn(leftMs - timerMaxMs, why);
      else this.#end(why);
    }, waitMs);
  }

  readonly #onCancel = (): void => {
    this.#end("cancel");
  };

  #end(why: NonNullable<WatchResult["endedBy"]>): void {
    if (this.endedBy !== null) return;
    this.endedBy = why;
    void this.#keepAsking();
  }

  async #keepAsking(): Promise<void> {
    const until = performance.now() + letGoMs;
    const signal = AbortSignal.any([this.#done.signal, this.#run.stopSignal]);
    while (!signal.aborted) {
      try {
        const { outcome } = await this.#server.connector.cancelPrompt(this.#run.leased.promptId, { signal });
        if (outcome !== "pending") return;
      } catch (error) {
        if (!(error instanceof ComfyUIError) || isAborted(signal)) return;
        this.#log.warn({ err: error, jobId: this.#run.jobId }, "the prompt could not be ended yet");
      }
      if (performance.now() > until) {
        this.#stuck.abort(new RunStopped("server-lost"));
        return;
      }
      await sleep(500, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Read anew: TypeScript takes an `aborted` that was false before an await to be false after it. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
