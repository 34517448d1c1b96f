import { type ComfyUIConnector, ComfyUIError, type SettledLookup } from "@genga/comfyui";
import { StoreUnavailableError, type TakeBacks } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type JobServer } from "./job-server.ts";
import { type Run } from "./run.ts";

/** What became of requests to take prompts back, since the start of this worker. */
export interface TakeBackCounts {
  /** The prompt was removed, and its job was queued for the other server. */
  taken: number;
  /** The prompt was removed since its server gets no new work, and its job was queued for any server. */
  given: number;
  /** The prompt had begun, or had ended. */
  stayed: number;
  /** The server did not say where the prompt stands. */
  unanswered: number;
  /** Nothing was sent to the server: the request was void, or the job could not have been claimed again. */
  refused: number;
}

export const noTakeBacks: Readonly<TakeBackCounts> = {
  taken: 0,
  given: 0,
  stayed: 0,
  unanswered: 0,
  refused: 0,
};

export interface TakeBackOptions {
  takeBacks: Pick<TakeBacks, "begin" | "beginGivingBack">;
  takeBackCounts: TakeBackCounts;
  /** A call that changes the server's queue may take no longer, and is only begun with this much of the lease left. */
  postTimeoutMs: number;
  log: Logger;
}

/** What a take-back needs of the prompt's server. */
export interface TakeBackServer extends Pick<JobServer, "isDraining" | "noteDoubt" | "url"> {
  readonly connector: Pick<ComfyUIConnector, "counters" | "isHearing" | "withdrawPrompt">;
}

/** A prompt that was taken back: for this server alone, or, if none is named, for any. */
export interface TakenBackPrompt {
  takenBackFor?: string;
}

/** The most for each of the calls to the server. */
const callTimeoutMaxMs = 2_000;

/**
 * Takes a run's waiting prompt back from its server, once, when it is asked for a server that stands empty, or when its own
 * server gets no new work, as while it is drained. It does not end
 * the run: the watch of the prompt does, and asks here whether the take-back explains what it found.
 */
export class TakeBack {
  readonly #run: Run;
  readonly #server: TakeBackServer;
  readonly #options: TakeBackOptions;
  /** The prompt is being ended for another reason, which comes first. */
  readonly #isEnding: () => boolean;
  readonly #callTimeoutMs: number;
  readonly #closing = new AbortController();
  #working: Promise<void> | null = null;
  /** Set before the delete goes out; `null` again once the prompt was seen running. */
  #sent: { prompt: TakenBackPrompt; disconnects: number } | null = null;
  #wasSent = false;
  /** The server was held while another server's request was under way. */
  #isGivingBackNext = false;

  constructor(run: Run, server: TakeBackServer, options: TakeBackOptions, isEnding: () => boolean) {
    this.#run = run;
    this.#server = server;
    this.#options = options;
    this.#isEnding = isEnding;
    this.#callTimeoutMs = Math.min(callTimeoutMaxMs, options.postTimeoutMs);
    run.onTakeBackAsked = () => {
      this.#start(() => this.#beginAsked());
    };
    run.onServerHeld = () => {
      if (!this.#mayBegin) return;
      if (this.#working === null) this.#start(() => this.#beginGivingBack());
      else this.#isGivingBackNext = true;
    };
    if (server.isDraining) run.onServerHeld();
  }

  #start(begin: () => Promise<TakenBackPrompt | null>): void {
    if (this.#wasSent || this.#closing.signal.aborted) return;
    this.#working ??= this.#work(begin).finally(() => {
      this.#working = null;
      const isNext = this.#isGivingBackNext;
      this.#isGivingBackNext = false;
      if (isNext) this.#start(() => this.#beginGivingBack());
    });
  }

  /**
   * The run's watch has ended.
   * @returns for whom the prompt was taken back, if that explains that its server does not know it. `null` = it does not:
   *   A prompt that may have begun, that a restart of the server may have removed, or that was ended for another
   *   reason, was not taken back. If the connection broke meanwhile, the server may have restarted; but it has not if it
   *   still has a prompt that came before this one.
   */
  explains(lookup: SettledLookup): TakenBackPrompt | null {
    const { connector } = this.#server;
    if (lookup.state !== "absent" || this.#sent === null || this.#isEnding() || this.#run.isExecuting)
      return null;
    const wasHeard =
      connector.counters.disconnects === this.#sent.disconnects &&
      connector.isHearing(this.#run.leased.clientId);
    if (!wasHeard && !this.#run.isBehindOneOf(lookup.others)) return null;
    const { takeBackCounts: counts, log } = this.#options;
    const { takenBackFor: forServerId } = this.#sent.prompt;
    if (forServerId === undefined) {
      counts.given += 1;
      log.info("a waiting prompt was given back, because its server gets no new work");
    } else {
      counts.taken += 1;
      log.info({ forServerId }, "a waiting prompt was taken back for an empty server");
    }
    return this.#sent.prompt;
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.#run.onTakeBackAsked = this.#run.onServerHeld = null;
    this.#closing.abort();
    await this.#working;
  }

  async #work(begin: () => Promise<TakenBackPrompt | null>): Promise<void> {
    const { log, takeBackCounts: counts } = this.#options;
    const prompt = await this.#begin(begin);
    if (prompt === null || !this.#mayBegin) {
      counts.refused += 1;
      return;
    }
    const { connector } = this.#server;
    this.#wasSent = true;
    this.#sent = { prompt, disconnects: connector.counters.disconnects };
    const signal = AbortSignal.any([this.#run.stopSignal, this.#closing.signal]);
    try {
      const { promptId } = this.#run;
      const timeoutMs = this.#callTimeoutMs;
      const lookup = await connector.withdrawPrompt(promptId, { signal, timeoutMs });
      if (lookup.state === "absent") return;
      if (lookup.state === "running") this.#sent = null;
      counts.stayed += 1;
      log.info({ state: lookup.state }, "a prompt that was to be taken back stays");
    } catch (error) {
      if (signal.aborted) return;
      counts.unanswered += 1;
      if (error instanceof ComfyUIError) this.#server.noteDoubt(error);
      log.warn({ err: error }, "whether a prompt was taken back is not known; its watch goes on");
    }
  }

  async #beginAsked(): Promise<TakenBackPrompt | null> {
    const takenBackFor = await this.#options.takeBacks.begin(this.#run.leased);
    return takenBackFor === null ? null : { takenBackFor };
  }

  async #beginGivingBack(): Promise<TakenBackPrompt | null> {
    const mayBegin =
      this.#server.isDraining && (await this.#options.takeBacks.beginGivingBack(this.#run.leased));
    return mayBegin ? {} : null;
  }

  async #begin(begin: () => Promise<TakenBackPrompt | null>): Promise<TakenBackPrompt | null> {
    if (!this.#mayBegin) return null;
    try {
      return await begin();
    } catch (error) {
      // Nothing was sent, so the prompt stays; and a request of another server must not harm the run.
      if (!(error instanceof StoreUnavailableError)) {
        this.#options.log.error({ err: error }, "whether a prompt may be taken back could not be read");
      }
      return null;
    }
  }

  /** A prompt with nothing before it begins at once, or its server is wedged: its health check must see that. */
  get #mayBegin(): boolean {
    const { mayHaveBegun, cancelSignal, stopSignal, lease } = this.#run;
    const isStopping = cancelSignal.aborted || stopSignal.aborted || this.#closing.signal.aborted;
    return !mayHaveBegun && !isStopping && !this.#isEnding() && lease.leftMs() > this.#callTimeoutMs;
  }
}
