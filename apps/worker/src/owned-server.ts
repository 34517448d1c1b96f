import { createHash } from "node:crypto";
import { ComfyUIConnector, isSettled, type ObjectInfo, objectInfoSchema } from "@genga/comfyui";
import {
  type Json,
  type ServerLease,
  type ServerRecord,
  type ServerState,
  type ServerStore,
  StoreUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { z } from "zod";
import { Coalescer } from "./coalescer.ts";
import { type Run } from "./run.ts";

export interface OwnedServerOptions {
  record: ServerRecord;
  lease: ServerLease;
  servers: ServerStore;
  log: Logger;
  /** After this long without an answer its jobs go elsewhere. */
  graceMs: number;
  /** It can take work (again): online, with definitions. */
  onReady: (server: OwnedServer) => void;
  onDefinitionsRead: (serverId: string) => void;
}

/** Looks at a quiet server this often; under about 2 s a busy one would seem dead (PROTOCOL 9). */
const probeTimeoutMs = 5_000;
const definitionsMaxAgeMs = 60_000;

const systemStatsSchema = z.object({
  system: z.object({ comfyui_version: z.string().optional() }).optional(),
});
const jsonSchema: z.ZodType<Json> = z.json();

/** A ComfyUI server under our lease: its connection, its health, what it can run, and the runs on it. */
export class OwnedServer {
  readonly connector: ComfyUIConnector;
  readonly runs = new Set<Run>();
  /** The checkpoint of the last graph that it was given. */
  checkpoint: string | null = null;
  readonly #options: OwnedServerOptions;
  readonly #probing = new Coalescer(() => this.#probe());
  #state: ServerState = "unknown";
  #recorded = "";
  #silentSince: number | null = null;
  #definitions: { hash: string; objectInfo: ObjectInfo; readAt: number } | null = null;
  #stuckPromptId: string | null = null;

  constructor(options: OwnedServerOptions) {
    this.#options = options;
    this.connector = new ComfyUIConnector({ baseUrl: options.record.url, logger: options.log });
  }

  get id(): string {
    return this.#options.record.id;
  }

  get url(): string {
    return this.#options.record.url;
  }

  get lease(): ServerLease {
    return this.#options.lease;
  }

  get slots(): number {
    return this.#options.record.slots;
  }

  get jobsHeld(): number {
    return [...this.runs].filter((run) => run.holdsSlot).length;
  }

  get state(): ServerState {
    return this.#state;
  }

  /** What it can run; `null` until it was asked. */
  get definitions(): { hash: string; objectInfo: ObjectInfo } | null {
    return this.#definitions;
  }

  get mayTakeJobs(): boolean {
    return this.#state === "online" && this.#definitions !== null;
  }

  /** One look at its health; reads its definitions when they are old or `definitionsWanted`. */
  async tick(options: { definitionsWanted?: boolean } = {}): Promise<void> {
    if (options.definitionsWanted === true && this.#definitions !== null) {
      this.#definitions = { ...this.#definitions, readAt: Number.NEGATIVE_INFINITY };
    }
    await this.#probing.trigger();
  }

  /** Something on it went wrong: look soon. */
  noteDoubt(error: unknown): void {
    this.#options.log.debug({ err: error, server: this.url }, "the server is in doubt");
    void this.#probing.trigger();
  }

  /** It was told to end this prompt, and does not: nothing else could start before it. */
  noteStuck(promptId: string): void {
    this.#stuckPromptId = promptId;
    void this.#probing.trigger();
  }

  async close(): Promise<void> {
    await this.#probing.settle();
    await this.connector.close();
  }

  async #probe(): Promise<void> {
    try {
      const version = await this.#readVersion();
      this.#silentSince = null;
      if (await this.#isStuck()) {
        await this.#become("wedged", `It does not let go of prompt ${this.#stuckPromptId ?? ""}.`);
        return;
      }
      await this.#readDefinitions(version);
      await this.#become("online", null);
    } catch (error) {
      if (error instanceof StoreUnavailableError) {
        this.#options.log.debug(
          { err: error, server: this.url },
          "a server's state could not be recorded yet",
        );
      } else {
        await this.#noteSilence(error);
      }
    }
  }

  async #readVersion(): Promise<string | null> {
    const stats = await this.connector.systemStats({ timeoutMs: probeTimeoutMs });
    return systemStatsSchema.safeParse(stats).data?.system?.comfyui_version ?? null;
  }

  async #isStuck(): Promise<boolean> {
    if (this.#stuckPromptId === null) return false;
    const lookup = await this.connector.lookup(this.#stuckPromptId, { timeoutMs: probeTimeoutMs });
    if (isSettled(lookup)) this.#stuckPromptId = null;
    return this.#stuckPromptId !== null;
  }

  async #readDefinitions(version: string | null): Promise<void> {
    const isFresh =
      this.#state === "online" &&
      this.#definitions !== null &&
      performance.now() - this.#definitions.readAt < definitionsMaxAgeMs;
    if (isFresh) return;
    const raw = jsonSchema.parse(
      await this.connector.makeRequest("GET", "/object_info", { timeoutMs: 30_000 }),
    );
    const hash = createHash("sha256").update(JSON.stringify(raw)).digest("hex");
    if (this.#definitions?.hash !== hash) {
      await this.#options.servers.saveDefinitions(this.lease, { hash, objectInfo: raw, version });
    }
    const objectInfo =
      this.#definitions?.hash === hash ? this.#definitions.objectInfo : objectInfoSchema.parse(raw);
    this.#definitions = { hash, objectInfo, readAt: performance.now() };
    this.#options.onDefinitionsRead(this.id);
  }

  /** @param error not answering, or answers that are not ComfyUI's */
  async #noteSilence(error: unknown): Promise<void> {
    const now = performance.now();
    this.#silentSince ??= now;
    await this.#become("unreachable", error instanceof Error ? error.message : String(error));
    if (now - this.#silentSince < this.#options.graceMs) return;
    for (const run of this.runs) run.stop("server-lost");
  }

  async #become(state: ServerState, reason: string | null): Promise<void> {
    const isNew = state !== this.#state;
    this.#state = state;
    if (isNew) {
      const { log } = this.#options;
      if (state === "online") log.info({ server: this.url }, "server is online");
      else log.warn({ server: this.url, state, reason }, "server takes no work");
      if (state === "online") this.#options.onReady(this);
    }
    await this.#record(state, reason);
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
