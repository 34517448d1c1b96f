import { ComfyUIConnector, type ServerDefinitions, type ServerQueue } from "@genga/comfyui";
import {
  isLate,
  type ServerLease,
  type ServerModel,
  type ServerRecord,
  type ServerState,
  type ServerStore,
  StoreUnavailableError,
  takesWork,
} from "@genga/jobs";
import { type ComfyUIAddress, type Logger } from "@genga/runtime";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import pTimeout from "p-timeout";
import { type JobServer } from "../job/job-server.ts";
import { SlotUse } from "../metrics/slot-use.ts";
import { Coalescer } from "../timing/coalescer.ts";
import { type OwnSilence } from "../timing/own-silence.ts";
import { KnownDefinitions } from "./known-definitions.ts";
import { LoadedModel } from "./loaded-model.ts";
import { OthersPrompts } from "./others-prompts.ts";
import { RefillTime } from "./refill-time.ts";
import { freeMemoryIn, notGenga, requireHistory } from "./server-answers.ts";
import { failedCheck, healthLimits, ServerHealth } from "./server-health.ts";
import { ServerRow } from "./server-row.ts";
import { type ServerRun } from "./server-run.ts";
import { ServerWear } from "./server-wear.ts";
import { type Hold, ServiceHolds } from "./service-holds.ts";

export interface OwnedServerOptions {
  record: ServerRecord;
  /** The address at which this worker reaches the server. */
  address: ComfyUIAddress;
  /** The header `Authorization` of the next request. May throw a `ComfyUIError`. */
  authorization?: () => string | undefined;
  lease: ServerLease;
  servers: ServerStore;
  definitions: DefinitionsStore;
  log: Logger;
  silence: Pick<OwnSilence, "repeatIfLate">;
  /** After this long without an answer, the server's jobs are requeued for other servers. */
  graceMs: number;
  /** A queue that has not changed for this long counts as stuck. */
  stallMs: number;
  /** Called when the server can take work (again): it is online and its definitions are known. */
  onReady: (server: OwnedServer) => void;
  onDefinitionsRead: (serverId: string) => void;
  /** Called with the prompts that were on the server at the last check. */
  onQueueSeen: (server: OwnedServer, queue: ServerQueue) => Promise<void>;
}

/** The timeout of each request of a check. With less than about 2 s a busy server would count as dead (PROTOCOL 9). */
const checkTimeoutMs = 5_000;

/** A ComfyUI server whose lease this worker holds: its connection, its health checks, and the runs on it. */
export class OwnedServer implements JobServer {
  readonly address: ComfyUIAddress;
  readonly connector: ComfyUIConnector;
  readonly slotUse = new SlotUse();
  readonly wear = new ServerWear();
  /** Changed only by `hold` and `setDraining`. */
  readonly holds = new ServiceHolds(() => {
    for (const run of this.#runs) run.noteServerHeld();
  });
  readonly wasLeaving: boolean;
  #labels: readonly string[];
  #slots: number;
  readonly #options: OwnedServerOptions;
  readonly #runs = new Set<ServerRun>();
  readonly #checks = new Coalescer(() => this.#check());
  readonly #health: ServerHealth;
  readonly #definitions: KnownDefinitions;
  readonly #row: ServerRow;
  readonly #model: LoadedModel;
  readonly #refills = new RefillTime();
  readonly #closing = new AbortController();
  /** The last check found prompts of other clients on the server. */
  #hasOthersPrompts = false;
  readonly #others = new OthersPrompts();
  #announced: ServerState = "unknown";
  #disconnects = 0;

  constructor(options: OwnedServerOptions) {
    this.#options = options;
    ({ labels: this.#labels, slots: this.#slots } = options.record);
    this.holds.setDrained(options.record.draining);
    this.wasLeaving = options.record.state === "leaving";
    this.#model = new LoadedModel(options.record);
    this.#health = new ServerHealth({ ...healthLimits, stallMs: options.stallMs });
    const { lease, servers, definitions, authorization, log } = options;
    const { url: baseUrl, ipAddress } = (this.address = options.address);
    this.connector = new ComfyUIConnector({ baseUrl, ipAddress, authorization, logger: log });
    this.#row = new ServerRow({ url: this.url, lease, servers, log });
    const onRead = (): void => {
      options.onDefinitionsRead(this.id);
    };
    this.#definitions = new KnownDefinitions({ connector: this.connector, lease, definitions, onRead });
  }

  get id(): string {
    return this.#options.record.id;
  }

  /** The server's identity, for people; requests go to `address`. */
  get url(): string {
    return this.#options.record.url;
  }

  /** The labels that jobs may require, as the worker that started last has them in its configuration. */
  get labels(): readonly string[] {
    return this.#labels;
  }

  /** By its row. Calls `onReady` when they have changed, because more jobs may now be possible. */
  setLabelsAndSlots({ labels, slots }: Pick<ServerRecord, "labels" | "slots">): void {
    const isSame = labels.join() === this.#labels.join() && slots === this.#slots;
    this.#labels = labels;
    this.#slots = slots;
    if (!isSame && this.mayTakeJobs) this.#options.onReady(this);
  }

  get isDraining(): boolean {
    return !this.holds.areNone;
  }

  /** An operator drained it, or resumed it. @returns whether that is a change */
  setDraining(isDraining: boolean): boolean {
    if (isDraining) this.slotUse.noteUnavailable();
    return this.holds.setDrained(isDraining);
  }

  /** Gives it no new work, for a reason besides an operator's drain; `null` ends that. */
  hold(hold: Hold, reason: string | null): void {
    this.holds.set(hold, reason);
    if (reason !== null) this.slotUse.noteUnavailable();
    else if (this.mayTakeJobs && !this.#closing.signal.aborted) this.#options.onReady(this);
    // Writes the state.
    void this.#checks.trigger();
  }

  get lease(): ServerLease {
    return this.#options.lease;
  }

  /** How many prompts the server may hold; only one while it is on probation. */
  get slots(): number {
    return this.#health.state === "probing" ? 1 : this.#slots;
  }

  get jobsHeld(): number {
    return [...this.#runs].filter((run) => run.holdsSlot).length;
  }

  /**
   * How long it lately stood with one prompt fewer until the next one was there; `null` = not measured since it has
   * loaded what it has loaded, or it is on probation.
   */
  get refillMs(): number | null {
    return this.#health.state === "online" ? this.#refills.meanMs : null;
  }

  /**
   * Whether only short jobs stand before the next prompt: those of such lanes, none of which executes for longer than a
   * short job does. `false` while there are prompts of other clients.
   */
  holdsOnlyShort(isShort: (lane: string) => boolean): boolean {
    if (this.#others.mayBeAhead) return false;
    const now = performance.now();
    return [...this.#runs].every(
      (run) => !run.holdsSlot || (isShort(run.lane) && !isLate(run.executingMs(now))),
    );
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
    return this.#health.mayTakeJobs && this.#definitions.areCurrent && !this.isDraining;
  }

  get uploadBytesMax(): number | null {
    return this.#row.uploadBytesMax;
  }

  /** What the server has loaded. */
  get model(): ServerModel {
    return this.#model.current;
  }

  /** The server gets a job of this lane. @param model the job's main model */
  noteJob(lane: string, model: string | null): void {
    if (model !== null && model !== this.model.loadedModel) this.#refills.forget();
    if (this.#model.noteJob(lane, model, new Date())) void this.#row.recordModel(this.model);
  }

  noteExecution(run: ServerRun): boolean | null {
    return this.#model.noteExecution(run.mainModel);
  }

  /** For how many prompts the server had to load its model first. */
  get modelLoads(): number {
    return this.#model.loads;
  }

  noteUnloaded(): void {
    this.#refills.forget();
    this.wear.forgetMemory();
    if (this.#model.forget()) void this.#row.recordModel(this.model);
  }

  addRun(run: ServerRun, waitedMs: number | null): void {
    this.#runs.add(run);
    this.slotUse.noteTaken(performance.now(), waitedMs);
    this.#refills.noteTaken(run);
  }

  removeRun(run: ServerRun): void {
    this.#runs.delete(run);
  }

  /** Checks the server's health once. Reads its definitions if they are old or `definitionsWanted`. */
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

  /**
   * Records which prompts are in front of this run's prompt. After a crash of the server that decides which prompt is
   * to blame.
   */
  notePost(run: ServerRun): void {
    const ahead = [...this.#runs].filter((other) => other !== run && other.holdsSlot && other.mayBeOnServer);
    run.notePost(ahead, this.#hasOthersPrompts);
    this.#others.notePost(run, performance.now());
  }

  noteAccepted(run: ServerRun): void {
    const now = performance.now();
    this.#refills.noteAccepted(run, now);
    this.slotUse.noteAccepted(now);
  }

  noteSlotFreed(): void {
    this.slotUse.noteFreed(performance.now());
  }

  notePlaceFreed(at: number): void {
    this.#refills.noteEnded(at);
  }

  /** No job waited for the places that were free by then. @param by monotonic milliseconds */
  noteNothingWaited(by: number): void {
    this.#refills.noteNothingWaited(by);
    this.slotUse.noteNothingWaited(by);
  }

  notePromptGone(run: ServerRun): void {
    if (run.isExecuting) this.#others.noteExecuted(run);
    for (const other of this.#runs) other.noteGone(run);
  }

  noteDoubt(error: unknown): void {
    this.#options.log.debug(
      { err: error, server: this.url },
      "a request to the server failed, so the server is checked",
    );
    void this.#checks.trigger();
  }

  noteStuck(promptId: string): void {
    this.#health.noteStuck(promptId);
    void this.#checks.trigger();
  }

  noteJobEnded(endedWell: boolean): void {
    const wasOnTrial = this.#health.state === "probing";
    if (endedWell) this.#health.noteJobEnded();
    this.wear.notePromptEnded();
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
      // The next check repeats what failed in this one, so the worker goes on.
      if (this.#closing.signal.aborted) return;
      this.#options.log.warn({ err: error, server: this.url }, "a check of a server could not be finished");
    }
  }

  async #checkHealth(): Promise<void> {
    try {
      await this.#options.silence.repeatIfLate(() => this.#askServer(), this.#closing.signal);
    } catch (error) {
      if (error instanceof StoreUnavailableError || this.#closing.signal.aborted) throw error;
      this.#health.noteCheck(failedCheck(error), performance.now());
    }
  }

  async #askServer(): Promise<void> {
    const requestOptions = { timeoutMs: checkTimeoutMs, signal: this.#closing.signal };
    const stats = notGenga(await this.connector.systemStats(requestOptions));
    this.wear.noteMemory(freeMemoryIn(stats));
    this.#noteRestart();
    const idsBefore = this.promptIds;
    const queue = await this.connector.queue(requestOptions);
    this.#noteOthersPrompts(queue, new Set([...idsBefore, ...this.promptIds]));
    await requireHistory(this.connector, requestOptions);
    if (!this.#health.mayTakeJobs) this.#definitions.doubt();
    this.#health.noteCheck({ kind: "answered", queue, ownPromptIds: this.promptIds }, performance.now());
    if (this.#health.mayTakeJobs) {
      const { replacesNodes } = await this.#row.describe(this.connector, stats, requestOptions);
      const areFresh = takesWork(this.#announced) && this.#definitions.areFresh;
      if (!areFresh) await this.#definitions.read({ replacesNodes, signal: this.#closing.signal });
    }
    await this.#options.onQueueSeen(this, queue);
  }

  /** A server that restarts closes its sockets. If only the network did that, the next job tells what is loaded. */
  #noteRestart(): void {
    const { disconnects } = this.connector.counters;
    if (disconnects > this.#disconnects) this.noteUnloaded();
    this.#disconnects = disconnects;
  }

  #noteOthersPrompts({ running, pending }: ServerQueue, ownPromptIds: ReadonlySet<string>): void {
    this.#hasOthersPrompts = [...running, ...pending].some(({ promptId }) => !ownPromptIds.has(promptId));
    this.#others.noteCheck(this.#hasOthersPrompts, performance.now());
    if (this.#hasOthersPrompts) for (const run of this.#runs) run.noteOthers();
  }

  /** Acts on the last check: announces the server, stops runs whose server is lost, and records the state. */
  async #applyHealth(): Promise<void> {
    const { state, reason } = this.#health;
    if (!this.#health.mayTakeJobs) this.slotUse.noteUnavailable();
    if (state !== this.#announced) {
      const { log, onReady } = this.#options;
      const wasReady = takesWork(this.#announced);
      this.#announced = state;
      if (this.#health.mayTakeJobs) log.info({ server: this.url, state }, "server takes work");
      else log.warn({ server: this.url, state, reason }, "server takes no work");
      if (this.#health.mayTakeJobs && (!wasReady || state === "online")) onReady(this);
    }
    const isGone = this.#health.isAway && this.#health.silentMs(performance.now()) >= this.#options.graceMs;
    for (const run of this.#runs) {
      if (isGone || (state === "wedged" && run.holdsSlot && !run.isExecuting)) run.stop("server-lost");
    }
    await this.#row.recordState(this.holds.shownState(this.#health));
  }
}
