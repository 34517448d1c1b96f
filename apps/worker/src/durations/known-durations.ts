import {
  durationKeys,
  type DurationRow,
  type DurationSample,
  estimateLoad,
  estimateRun,
  loadKeys,
  type MeasuredRun,
  type RunDurations,
  type RunKind,
  samplesOf,
  StoreUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { LRUCache } from "lru-cache";
import { type KnownOfRun } from "./run-measure.ts";

/** How long what was read counts as fresh: other workers measure, too. */
const freshMs = 5_000;
const rememberedMax = 2_000;
/** Measurements that wait to be written; while the database is away, further ones are dropped. */
const pendingMax = 20_000;

export interface KnownDurationsOptions {
  store: Pick<RunDurations, "findDurations" | "addDurations">;
  log: Logger;
}

/** What was measured of runs: read when one begins, and added to in groups after they have completed. */
export class KnownDurations {
  readonly #options: KnownDurationsOptions;
  readonly #read = new LRUCache<string, Promise<Map<string, DurationRow>>>({
    max: rememberedMax,
    ttl: freshMs,
  });
  #samples: DurationSample[] = [];
  #errors: number[] = [];

  constructor(options: KnownDurationsOptions) {
    this.#options = options;
  }

  /** `null` = nothing like it was measured, or the database is away. Never rejects. */
  async find(kind: RunKind, serverId: string): Promise<KnownOfRun | null> {
    const rows = await this.#rowsOf(kind, serverId);
    const run = estimateRun(kind, serverId, rows);
    if (run === null) return null;
    return { run, load: kind.model === null ? null : estimateLoad(kind.model, serverId, rows) };
  }

  /** @param error how far off the estimate was; `null` = there was none */
  note(run: MeasuredRun | null, error: number | null): void {
    if (this.#samples.length >= pendingMax) return;
    if (run !== null) this.#samples.push(...samplesOf(run));
    if (error !== null) this.#errors.push(error);
  }

  /** With one transaction for all. If the database is unavailable, the measurements are kept for the next time. */
  async flush(): Promise<void> {
    const [samples, errors] = [this.#samples, this.#errors];
    if (samples.length + errors.length === 0) return;
    this.#samples = [];
    this.#errors = [];
    try {
      await this.#options.store.addDurations(samples, errors);
      this.#read.clear();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#samples.unshift(...samples);
      this.#errors.unshift(...errors);
    }
  }

  async #rowsOf(kind: RunKind, serverId: string): Promise<Map<string, DurationRow>> {
    const keys = durationKeys(kind, serverId).map(({ key }) => key);
    const [first = ""] = keys;
    if (kind.model !== null) keys.push(...loadKeys(kind.model, serverId));
    const known = this.#read.get(first);
    if (known !== undefined) return await known;
    const reading = this.#readRows(keys);
    this.#read.set(first, reading);
    return await reading;
  }

  async #readRows(keys: string[]): Promise<Map<string, DurationRow>> {
    try {
      const rows = await this.#options.store.findDurations(keys);
      return new Map(rows.map((row) => [row.key, row]));
    } catch (error) {
      // A run without an estimate is a run all the same.
      this.#options.log.debug({ err: error }, "how long earlier runs took could not be read");
      return new Map();
    }
  }
}
