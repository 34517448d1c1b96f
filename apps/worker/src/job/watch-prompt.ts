import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIError, type SettledLookup, warningOf } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";
import { type KnownDurations } from "../durations/known-durations.ts";
import { type EndedBy, type PromptEnd } from "./job-end.ts";
import { type JobServer } from "./job-server.ts";
import { type ProgressWriter } from "./progress-writer.ts";
import { type Previews } from "../previews/previews.ts";
import { type Run, RunStopped } from "./run.ts";
import { TakeBack, type TakeBackOptions, type TakenBackPrompt } from "./take-back.ts";
import { RunTiming } from "../lanes/run-timing.ts";
import { callIn } from "../timing/call-in.ts";
import { confirmUnreadable } from "./unreadable-result.ts";

/** How long a server may take to end a prompt that it was told to end. */
const letGoMs = 60_000;
/** The silence of a prompt is counted in this many steps. */
const stallTicks = 10;
/** A node that is executed for each element of a list may warn once for each of them. */
const warningsMax = 20;

export interface WatchPromptOptions extends TakeBackOptions {
  progress: ProgressWriter;
  durations: Pick<KnownDurations, "find">;
  previews: Pick<Previews, "begin" | "note" | "forget">;
  /** How long an executing prompt may send no message. */
  stallMs: number;
  /** How long queue and history may fail to say where the prompt is. */
  graceMs: number;
}

/**
 * Watches a prompt to its end and passes on its progress. Takes it back while it waits, if another server stands empty
 * or its own gets no new work.
 * Ends it on a cancel request, at its queue deadline, at its deadline (counted from the begin of execution), and when it sent no message for
 * `stallMs` while it executed. Waits until the prompt has left the server.
 *
 * An adopted prompt may have ended before, or begun, without a note in the database. So its time limits apply from the
 * moment when the server says where it stands; if it has ended, the server's history tells how.
 * @throws RunStopped
 * @throws ComfyUIError its end cannot be read
 */
export async function watchPrompt(
  run: Run,
  server: JobServer,
  options: WatchPromptOptions,
): Promise<PromptEnd> {
  const { promptId } = run.leased;
  options.progress.report(run, run.isExecuting ? "executing" : "submitted", run.progress);
  const ending = new PromptEnding(run, server, options);
  const takeBack = new TakeBack(run, server, options, () => ending.endedBy !== null);
  const warnings = new Set<string>();
  const result = (lookup: PromptEnd["lookup"], taken: TakenBackPrompt | null = null): PromptEnd => ({
    lookup,
    endedBy: ending.endedBy,
    ...(ending.endedBy === null && taken !== null && { endedBy: "take-back", ...taken }),
    warnings: [...warnings].slice(0, warningsMax),
  });
  if (!run.wasAdopted) ending.applyTimeLimit();
  if (run.isExecuting) ending.noteSignOfLife();
  try {
    for (;;) {
      try {
        const lookup = await followToItsEnd(run, server, ending, warnings, options);
        return result(lookup, takeBack.explains(lookup));
      } catch (error) {
        run.stopSignal.throwIfAborted();
        if (ending.stuckSignal.aborted) {
          server.noteStuck(promptId);
          return result({ state: "stuck" });
        }
        if (!(error instanceof ComfyUIError) || error.code === "connector_closed") throw error;
        await confirmUnreadable(server, promptId, run.stopSignal);
      }
    }
  } finally {
    ending.dispose();
    await takeBack.close();
  }
}

/** @throws ComfyUIError queue and history have failed for `graceMs` @throws RunStopped */
async function followToItsEnd(
  run: Run,
  server: JobServer,
  ending: PromptEnding,
  warnings: Set<string>,
  { progress, durations, previews, graceMs }: WatchPromptOptions,
): Promise<SettledLookup> {
  const { workflow, measure } = run;
  previews.begin(run);
  const { promptId, clientId } = run.leased;
  const signal = AbortSignal.any([run.stopSignal, ending.stuckSignal]);
  const measured = durations.find(measure.kind, server.id).then((known) => {
    measure.know(known);
    return known === null ? null : known.run.nodes;
  });
  const watching = { clientId, workflow, signal, measured, unreachableMs: graceMs, relay: run.relay };
  const events = server.connector.watch(promptId, watching);
  for await (const event of events) {
    switch (event.type) {
      case "progress": {
        const { phase, ...figures } = event.progress;
        // The connector's phase `saving` is the server's own; the job's begins when this worker fetches the outputs.
        const shown = phase === "saving" || phase === "executing" ? "executing" : "submitted";
        if (shown === "executing" && !run.isExecuting) {
          run.isExecuting = true;
          run.hadToLoad = server.noteExecution(run);
          run.timing = new RunTiming(performance.now());
          measure.begin(performance.now(), run.hadToLoad);
          ending.noteSignOfLife();
        }
        run.timing?.noteStep(figures.node, figures.step, figures.steps, performance.now());
        ending.applyTimeLimit();
        const percent = Math.max(figures.percent, run.progress.percent);
        const remaining = measure.remaining({ ...figures, percent }, performance.now());
        progress.report(run, shown, { ...figures, percent, ...remaining });
        break;
      }
      case "settled":
        return event.lookup;
      case "unreachable":
        server.noteDoubt(event.error);
        break;
      case "message":
        // The first message of a new connection names no prompt: a server whose executor is dead sends it as well.
        if (event.message.data.prompt_id !== undefined && run.isExecuting) ending.noteSignOfLife();
        // This message usually means that the prompt ends, and then the history has the error, too; `warningOf` handles
        // the case that it goes on.
        if (event.message.type === "execution_error") warnings.add(warningOf(event.message.data));
        if (event.message.type === "execution_cached") measure.noteCached(event.message.data.nodes);
        if (event.message.type === "executing") {
          const { node, display_node: shownNode } = event.message.data;
          measure.enter(node === null ? null : (shownNode ?? node), performance.now());
          if (node === null) run.endHeardAt = performance.now();
        }
        break;
      case "preview":
        previews.note(run, event.preview);
        if (run.isExecuting) ending.noteSignOfLife();
        break;
      case "text":
        if (run.isExecuting) ending.noteSignOfLife();
        break;
      case "reachable":
        break;
    }
  }
  throw new Error("The watch ended without a result.");
}

/** Tells the server to end the prompt, after a cancel request or when its time is over, and repeats it until it has ended. */
class PromptEnding {
  endedBy: EndedBy | null = null;
  readonly #run: Run;
  readonly #server: JobServer;
  readonly #log: Logger;
  readonly #stuck = new AbortController();
  readonly #done = new AbortController();
  #timeLimit: "none" | "expiry" | "deadline" = "none";
  #dropTimer: () => void = () => undefined;
  readonly #stallMs: number;
  #stallTicker: NodeJS.Timeout | null = null;
  #silentTicks = 0;

  constructor(run: Run, server: JobServer, options: { log: Logger; stallMs: number }) {
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

  /**
   * The server has the prompt: the limit of its queue time runs or, once it executes, that of its execution. May be called
   * again and again.
   */
  applyTimeLimit(): void {
    const { isExecuting, leased } = this.#run;
    const limit = isExecuting ? "deadline" : "expiry";
    if (this.endedBy !== null || this.#timeLimit === limit) return;
    this.#timeLimit = limit;
    if (limit === "deadline") {
      const leasedMs = performance.now() - this.#run.leasedSince;
      const elapsedMs = leased.executionElapsedMs === null ? 0 : leased.executionElapsedMs + leasedMs;
      this.#endIn(leased.job.timeoutMs - elapsedMs, "deadline");
    } else {
      const leftMs = this.#run.queueLeftMs();
      if (leftMs !== null) this.#endIn(leftMs, "expiry");
    }
  }

  /** The executing prompt sent a message, so its silence is counted from zero. */
  noteSignOfLife(): void {
    this.#silentTicks = 0;
    this.#stallTicker ??= setInterval(() => {
      this.#tickOfSilence();
    }, this.#stallMs / stallTicks);
  }

  /**
   * The silence is counted in ticks rather than by the clock: while this process was paused, is not connected, or may have
   * lost the job, no message could have arrived, so the prompt was not silent.
   */
  #tickOfSilence(): void {
    const isOurs = this.#run.lease.leftMs() > 0;
    const isHearing = this.#server.connector.isHearing(this.#run.leased.clientId);
    this.#silentTicks = isOurs && isHearing ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks >= stallTicks) this.#end("stall");
  }

  dispose(): void {
    this.#dropTimer();
    if (this.#stallTicker !== null) clearInterval(this.#stallTicker);
    this.#run.cancelSignal.removeEventListener("abort", this.#onCancel);
    this.#done.abort();
  }

  #endIn(leftMs: number, why: "deadline" | "expiry"): void {
    this.#dropTimer();
    this.#dropTimer = callIn(leftMs, () => {
      this.#end(why);
    });
  }

  readonly #onCancel = (): void => {
    this.#end("cancel");
  };

  #end(why: EndedBy): void {
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
        this.#log.warn({ err: error }, "the prompt could not be ended yet");
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
