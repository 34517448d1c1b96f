import { randomUUID } from "node:crypto";
import { ComfyUIConnector, ComfyUIError, type ServerDefinitions, type ServerQueue } from "@genga/comfyui";
import {
  type ServerLease,
  type ServerRecord,
  type ServerState,
  type ServerStore,
  StoreUnavailableError,
  takesWork,
} from "@genga/jobs";
import { type ComfyUIAddress, type Logger } from "@genga/runtime";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import pTimeout from "p-timeout";
import { z } from "zod";
import { type JobServer } from "../job/job-server.ts";
import { Coalescer } from "../timing/coalescer.ts";
import { KnownDefinitions } from "./known-definitions.ts";
import { healthLimits, ServerHealth } from "./server-health.ts";
import { ServerRow } from "./server-row.ts";
import { type ServerRun } from "./server-run.ts";

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
  /** Prompts that were on it at the last check. */
  onQueueSeen: (server: OwnedServer, queue: ServerQueue) => Promise<void>;
}

/** For each request of a check; with less than about 2 s a busy server would seem dead (PROTOCOL 9). */
const checkTimeoutMs = 5_000;

const systemStatsSchema = z.object({
  system: z.object({ comfyui_version: z.string().optional() }).optional(),
});
const historySchema = z.record(z.string(), z.unknown());

/** A ComfyUI server under our lease: its connection, the checks of its health, and the runs on it. */
export class OwnedServer implements JobServer {
  readonly connector: ComfyUIConnector;
  /** The checkpoint of the last graph that it was given. */
  checkpoint: string | null = null;
  /** An operator asked that it take no new work. */
  isDraining: boolean;
  readonly #options: OwnedServerOptions;
  readonly #runs = new Set<ServerRun>();
  readonly #checks = new Coalescer(() => this.#check());
  readonly #health: ServerHealth;
  readonly #definitions: KnownDefinitions;
  readonly #row: ServerRow;
  readonly #closing = new AbortController();
  /** At the last check, prompts were on it that are not ours. */
  #hasOthersPrompts = false;
  #announced: ServerState = "unknown";

  constructor(options: OwnedServerOptions) {
    this.#options = options;
    this.isDraining = options.record.draining;
    this.#health = new ServerHealth({ ...healthLimits, stallMs: options.stallMs });
    const { lease, servers, definitions, log } = options;
    const { url: baseUrl, credentials } = options.address;
    this.connector = new ComfyUIConnector({ baseUrl, credentials, logger: log });
    this.#row = new ServerRow({ url: this.url, lease, servers, log });
    this.#definitions = new KnownDefinitions({
      ...{ connector: this.connector, lease, definitions },
      onRead: () => {
        options.onDefinitionsRead(this.id);
      },
    });
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
    return [...this.#runs].filter((run) => run.holdsSlot).length;
  }

  get promptIds(): ReadonlySet<string> {
    return new Set([...this.#runs].map((run) => run.promptId));
  }

  get reason(): string | null {
    return this.#health.reason;
  }

  get isAnswering(): boolean {
    return this.#health.silentMs(performance.now()) === 0;
  }

  get definitions(): HashedDefinitions | null {
    return this.#definitions.current;
  }

  get mayTakeJobs(): boolean {
    return this.#health.mayTakeJobs && this.definitions !== null && !this.isDraining;
  }

  addRun(run: ServerRun): void {
    this.#runs.add(run);
  }

  removeRun(run: ServerRun): void {
    this.#runs.delete(run);
  }

  /** One check of its health; reads its definitions when they are old or `definitionsWanted`. */
  async tick(options: { definitionsWanted?: boolean } = {}): Promise<void> {
    if (options.definitionsWanted === true) this.#definitions.expire();
    await this.#checks.trigger();
  }

  async checkNow(signal: AbortSignal, options: { definitionsWanted?: boolean } = {}): Promise<void> {
    signal.throwIfAborted();
    await pTimeout(this.tick(options), { milliseconds: Infinity, signal });
  }

  async readDefinitionsAgain(signal: AbortSignal): Promise<ServerDefinitions> {
    await this.checkNow(signal, { definitionsWanted: true });
    return this.definitions ?? { objectInfo: {}, replacements: {} };
  }

  /** Which prompts wait in front of this one decides which of them is to blame for a crash. */
  notePost(run: ServerRun): void {
    const ahead = [...this.#runs].filter((other) => other !== run && other.holdsSlot && other.mayBeOnServer);
    run.notePost(ahead, this.#hasOthersPrompts);
  }

  notePromptGone(run: ServerRun): void {
    for (const other of this.#runs) other.noteGone(run);
  }

  noteDoubt(error: unknown): void {
    this.#options.log.debug({ err: error, server: this.url }, "the server is in doubt");
    void this.#checks.trigger();
  }

  noteStuck(promptId: string): void {
    this.#health.noteStuck(promptId);
    void this.#checks.trigger();
  }

  noteJobEnded(): void {
    const wasOnTrial = this.#health.state === "probing";
    this.#health.noteJobEnded();
    if (wasOnTrial) void this.#checks.trigger();
  }

  noteJobLost(reason: string): void {
    this.#health.noteJobLost(reason, performance.now());
    void this.#checks.trigger();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#checks.whenIdle();
    await this.connector.close();
  }

  async #check(): Promise<void> {
    try {
      await this.#checkHealth();
      await this.#applyHealth();
    } catch (error) {
      // The next check repeats what failed here; the worker must not end for it.
      if (this.#closing.signal.aborted) return;
      this.#options.log.warn({ err: error, server: this.url }, "a check of a server could not be finished");
    }
  }

  async #checkHealth(): Promise<void> {
    try {
      await this.#askServer();
    } catch (error) {
      if (error instanceof StoreUnavailableError || this.#closing.signal.aborted) throw error;
      // It does not answer, or its answers are not ComfyUI's.
      const reason = error instanceof Error ? error.message : String(error);
      this.#health.noteCheck({ kind: "silent", reason }, performance.now());
    }
  }

  async #askServer(): Promise<void> {
    const requestOptions = { timeoutMs: checkTimeoutMs, signal: this.#closing.signal };
    const stats = await this.connector.systemStats(requestOptions);
    const version = systemStatsSchema.safeParse(stats).data?.system?.comfyui_version ?? null;
    const promptIdsBefore = this.promptIds;
    const queue = await this.connector.queue(requestOptions);
    this.#noteOthersPrompts(queue, new Set([...promptIdsBefore, ...this.promptIds]));
    await this.#requireHistory(requestOptions);
    this.#health.noteCheck({ kind: "answered", queue, ownPromptIds: this.promptIds }, performance.now());
    if (this.#health.mayTakeJobs) {
      const { replacesNodes } = await this.#row.describe(this.connector, version, requestOptions);
      const areFresh = takesWork(this.#announced) && this.#definitions.areFresh;
      const { signal } = this.#closing;
      if (!areFresh) await this.#definitions.read({ replacesNodes, signal });
    }
    await this.#options.onQueueSeen(this, queue);
  }

  #noteOthersPrompts({ running, pending }: ServerQueue, ownPromptIds: ReadonlySet<string>): void {
    this.#hasOthersPrompts = [...running, ...pending].some(({ promptId }) => !ownPromptIds.has(promptId));
    if (!this.#hasOthersPrompts) return;
    for (const run of this.#runs) run.noteOthers();
  }

  /**
   * A server whose history does not answer cannot say how a prompt ended. It says `{}` of a prompt that is not there
   * (PROTOCOL 0.2).
   */
  async #requireHistory(options: { timeoutMs: number; signal: AbortSignal }): Promise<void> {
    const path = `/history/${randomUUID()}`;
    const history = await this.connector.makeRequest("GET", path, options);
    if (historySchema.safeParse(history).success) return;
    throw new ComfyUIError("bad_reply", `GET ${path}: not the answer that a ComfyUI gives.`);
  }

  /** Acts on what the last check found: announces the server, stops runs on it that are lost, records its state. */
  async #applyHealth(): Promise<void> {
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
    for (const run of this.#runs) {
      if (isGone || (state === "wedged" && run.holdsSlot && !run.isExecuting)) run.stop("server-lost");
    }
    await this.#row.recordState(state, reason);
  }
}
