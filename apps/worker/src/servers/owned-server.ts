import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIConnector, ComfyUIError, type ServerDefinitions, type ServerQueue } from "@genga/comfyui";
import {
  type ServerAbilities,
  type ServerLease,
  type ServerRecord,
  type ServerState,
  type ServerStore,
  StoreUnavailableError,
  takesWork,
} from "@genga/jobs";
import { type ComfyUIAddress, type Logger } from "@genga/runtime";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { z } from "zod";
import { Coalescer } from "../timing/coalescer.ts";
import { readDefinitions } from "./read-definitions.ts";
import { type Run, RunStopped } from "../job/run.ts";
import { healthLimits, ServerHealth } from "./server-health.ts";

export interface OwnedServerOptions {
  record: ServerRecord;
  /** How it is reached from here. */
  address: ComfyUIAddress;
  lease: ServerLease;
  servers: ServerStore;
  definitions: DefinitionsStore;
  log: Logger;
  /** After this long without an answer its jobs go elsewhere. */
  graceMs: number;
  /** A queue that has not moved for so long stands still. */
  stallMs: number;
  /** It can take work (again): online, with definitions. */
  onReady: (server: OwnedServer) => void;
  onDefinitionsRead: (serverId: string) => void;
  /** Prompts that were on it at the last look. */
  onQueueSeen: (server: OwnedServer, queue: ServerQueue) => Promise<void>;
}

/** Looks at a quiet server this often; under about 2 s a busy one would seem dead (PROTOCOL 9). */
const probeTimeoutMs = 5_000;
const definitionsMaxAgeMs = 60_000;

/** So often, with a healthy look before each, before what cannot be read is called unreadable. */
const confirmationsMax = 3;
const confirmationWaitMs = 500;

const systemStatsSchema = z.object({
  system: z.object({ comfyui_version: z.string().optional() }).optional(),
});
const historySchema = z.record(z.string(), z.unknown());

/** A ComfyUI server under our lease: its connection, its health, what it can run, and the runs on it. */
export class OwnedServer {
  readonly connector: ComfyUIConnector;
  readonly runs = new Set<Run>();
  /** The checkpoint of the last graph that it was given. */
  checkpoint: string | null = null;
  /** An operator asked that it take no new work. */
  isDraining: boolean;
  readonly #options: OwnedServerOptions;
  readonly #probing = new Coalescer(() => this.#probe());
  readonly #health: ServerHealth;
  readonly #closing = new AbortController();
  /** At the last look, prompts were on it that are not ours. */
  #hasOthersPrompts = false;
  #announced: ServerState = "unknown";
  #recorded = "";
  #definitions: HashedDefinitions | null = null;
  /** Of the text that they were read from, and when the server gave it last. */
  #definitionsText = { hash: "", readAt: Number.NEGATIVE_INFINITY };
  /** What the row says of it, and since which of its connections. */
  #described: { version: string | null; abilities: ServerAbilities; disconnects: number } | null = null;

  constructor(options: OwnedServerOptions) {
    this.#options = options;
    this.isDraining = options.record.draining;
    this.#health = new ServerHealth({ ...healthLimits, stallMs: options.stallMs });
    const { url: baseUrl, credentials } = options.address;
    this.connector = new ComfyUIConnector({ baseUrl, credentials, logger: options.log });
  }

  get id(): string {
    return this.#options.record.id;
  }

  /** Its identity, for people; not where it answers. */
  get url(): string {
    return this.#options.record.url;
  }

  get lease(): ServerLease {
    return this.#options.lease;
  }

  /** Prompts that it may hold; one only while it is on probation. */
  get slots(): number {
    return this.#health.state === "probing" ? 1 : this.#options.record.slots;
  }

  get jobsHeld(): number {
    return [...this.runs].filter((run) => run.holdsSlot).length;
  }

  /** This run's prompt is about to be posted; what waits in front of it decides who is to blame for a crash. */
  notePost(run: Run): void {
    const ahead = [...this.runs].filter((other) => other !== run && other.holdsSlot && other.mayBeOnServer);
    run.notePost(ahead, this.#hasOthersPrompts);
  }

  /** It let go of this run's prompt, in good order. */
  notePromptGone(run: Run): void {
    for (const other of this.runs) other.noteGone(run);
  }

  /** Why it takes no work, in words for an operator; `null` while all is well. */
  get reason(): string | null {
    return this.#health.reason;
  }

  /** It did when it was last looked at. */
  get isAnswering(): boolean {
    return this.#health.silentMs(performance.now()) === 0;
  }

  /** What it can run; `null` until it was asked. */
  get definitions(): HashedDefinitions | null {
    return this.#definitions;
  }

  get mayTakeJobs(): boolean {
    return this.#health.mayTakeJobs && this.#definitions !== null && !this.isDraining;
  }

  /** One look at its health; reads its definitions when they are old or `definitionsWanted`. */
  async tick(options: { definitionsWanted?: boolean } = {}): Promise<void> {
    if (options.definitionsWanted === true) this.#definitionsText.readAt = Number.NEGATIVE_INFINITY;
    await this.#probing.trigger();
  }

  /** What it can run, asked now; what was known when it does not answer. @throws the signal's reason */
  async readDefinitionsAgain(signal: AbortSignal): Promise<ServerDefinitions> {
    await this.#lookNow(signal, { definitionsWanted: true });
    return this.#definitions ?? { objectInfo: {}, replacements: {} };
  }

  /**
   * It has failed for a whole grace to say what became of a prompt. If it is in doubt itself, the run stops; if it answers
   * everything else and still not this, the prompt has ended, and to render it again would not help.
   * @returns when it does say so after all @throws RunStopped @throws ComfyUIError `result_unreadable`
   */
  async confirmUnreadable(promptId: string, signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      await this.requireAnswers(signal);
      try {
        await this.connector.lookup(promptId, { signal });
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ComfyUIError) || error.code === "connector_closed") throw error;
        if (tries >= confirmationsMax) throw unreadable(error);
      }
      await sleep(confirmationWaitMs, undefined, { signal });
    }
  }

  /** One look, now. @throws RunStopped it is silent */
  async requireAnswers(signal: AbortSignal): Promise<void> {
    await this.#lookNow(signal);
    if (this.#health.silentMs(performance.now()) > 0) throw new RunStopped("server-lost");
  }

  /** Something on it went wrong: look soon. */
  noteDoubt(error: unknown): void {
    this.#options.log.debug({ err: error, server: this.url }, "the server is in doubt");
    void this.#probing.trigger();
  }

  /** It was told to end this prompt, and does not. */
  noteStuck(promptId: string): void {
    this.#health.noteStuck(promptId);
    void this.#probing.trigger();
  }

  /** A prompt ended as prompts end, well or with an error of its own. */
  noteJobEnded(): void {
    const wasOnTrial = this.#health.state === "probing";
    this.#health.noteJobEnded();
    if (wasOnTrial) void this.#probing.trigger();
  }

  /** A job failed through the server's fault. */
  noteJobLost(reason: string): void {
    this.#health.noteJobLost(reason, performance.now());
    void this.#probing.trigger();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#probing.settle();
    await this.connector.close();
  }

  /** @throws the signal's reason */
  async #lookNow(signal: AbortSignal, options: { definitionsWanted?: boolean } = {}): Promise<void> {
    const looked = new AbortController();
    const stopped = once(signal, "abort", { signal: looked.signal }).catch(() => undefined);
    signal.throwIfAborted();
    await Promise.race([this.tick(options), stopped]);
    looked.abort();
    signal.throwIfAborted();
  }

  async #probe(): Promise<void> {
    try {
      await this.#lookAndJudge();
      await this.#settle();
    } catch (error) {
      // A look is repeated; whatever it breaks on must not end the worker.
      if (this.#closing.signal.aborted) return;
      this.#options.log.warn({ err: error, server: this.url }, "a look at a server could not be finished");
    }
  }

  async #lookAndJudge(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      if (error instanceof StoreUnavailableError || this.#closing.signal.aborted) throw error;
      // It does not answer, or its answers are not ComfyUI's.
      const reason = error instanceof Error ? error.message : String(error);
      this.#health.look({ kind: "silent", reason }, performance.now());
    }
  }

  async #look(): Promise<void> {
    const version = await this.#readVersion();
    const runsBefore = [...this.runs];
    const queue = await this.connector.queue({ timeoutMs: probeTimeoutMs, signal: this.#closing.signal });
    this.#noteOthersPrompts(queue, [...runsBefore, ...this.runs]);
    await this.#readHistory();
    const ownPromptIds = new Set([...this.runs].map((run) => run.leased.promptId));
    this.#health.look({ kind: "answered", queue, ownPromptIds }, performance.now());
    if (this.#health.mayTakeJobs) await this.#readDefinitions(await this.#describe(version));
    await this.#options.onQueueSeen(this, queue);
  }

  #noteOthersPrompts({ running, pending }: ServerQueue, runs: Run[]): void {
    const own = new Set(runs.map((run) => run.leased.promptId));
    this.#hasOthersPrompts = [...running, ...pending].some(({ promptId }) => !own.has(promptId));
    if (!this.#hasOthersPrompts) return;
    for (const run of this.runs) run.noteOthers();
  }

  /** Draws the consequences of the last look. */
  async #settle(): Promise<void> {
    const { state, reason } = this.#health;
    if (state !== this.#announced) {
      const { log, onReady } = this.#options;
      const wasReady = takesWork(this.#announced);
      this.#announced = state;
      if (this.#health.mayTakeJobs) log.info({ server: this.url, state }, "server takes work");
      else log.warn({ server: this.url, state, reason }, "server takes no work");
      if (this.#health.mayTakeJobs && (!wasReady || state === "online")) onReady(this);
    }
    const isGone =
      this.#health.silentMs(performance.now()) >= this.#options.graceMs && state === "unreachable";
    for (const run of this.runs) {
      if (isGone || (state === "wedged" && run.holdsSlot && !run.isExecuting)) run.stop("server-lost");
    }
    await this.#record(state, reason);
  }

  async #readVersion(): Promise<string | null> {
    const stats = await this.connector.systemStats({
      timeoutMs: probeTimeoutMs,
      signal: this.#closing.signal,
    });
    return systemStatsSchema.safeParse(stats).data?.system?.comfyui_version ?? null;
  }

  /** Nothing that ends could be told without it; `{}` is what is said of a prompt that is not there (PROTOCOL 0.2). */
  async #readHistory(): Promise<void> {
    const path = `/history/${randomUUID()}`;
    const options = { timeoutMs: probeTimeoutMs, signal: this.#closing.signal };
    const history = await this.connector.makeRequest("GET", path, options);
    if (historySchema.safeParse(history).success) return;
    throw new ComfyUIError("bad_reply", `GET ${path}: not the answer that a ComfyUI gives.`);
  }

  /** Probes what it can when its connection is a new one or its version changed, and says so in its row. */
  async #describe(version: string | null): Promise<ServerAbilities> {
    const { disconnects } = this.connector.counters;
    const known = this.#described;
    if (known?.version === version && known.disconnects === disconnects) return known.abilities;
    const options = { timeoutMs: probeTimeoutMs, signal: this.#closing.signal };
    const abilities = await this.connector.probeAbilities(options);
    await this.#options.servers.describeServer(this.lease, { version, abilities });
    this.#described = { version, abilities, disconnects };
    return abilities;
  }

  async #readDefinitions({ replacesNodes }: ServerAbilities): Promise<void> {
    const isFresh =
      takesWork(this.#announced) &&
      this.#definitions !== null &&
      performance.now() - this.#definitionsText.readAt < definitionsMaxAgeMs;
    if (isFresh) return;
    const { signal } = this.#closing;
    const { textHash, answers } = await readDefinitions(this.connector, { replacesNodes, signal });
    if (this.#definitions === null || textHash !== this.#definitionsText.hash) {
      const storedHash = this.#definitions?.hash ?? null;
      const kept = await this.#options.definitions.keep(this.lease, answers, { storedHash, signal });
      // The lease is lost, which the next renewal finds out.
      if (kept === null) return;
      this.#definitions = kept;
    }
    this.#definitionsText = { hash: textHash, readAt: performance.now() };
    this.#options.onDefinitionsRead(this.id);
  }

  /** Only what the row does not say yet; repeated by the next look when the database is away. */
  async #record(state: ServerState, reason: string | null): Promise<void> {
    const line = `${state} ${reason ?? ""}`;
    if (line === this.#recorded) return;
    try {
      await this.#options.servers.setServerState(this.lease, state, reason);
      this.#recorded = line;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#options.log.debug({ err: error, server: this.url }, "a server's state could not be recorded yet");
    }
  }
}

export function unreadable(cause: ComfyUIError): ComfyUIError {
  const message = `The prompt has ended, and its result cannot be read: ${cause.message}`;
  return new ComfyUIError("result_unreadable", message, { cause });
}
