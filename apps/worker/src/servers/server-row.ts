import { type ComfyUIConnector } from "@genga/comfyui";
import {
  type ServerAbilities,
  type ServerDevice,
  type ServerLease,
  type ServerModel,
  type ServerState,
  type ServerStore,
  StoreUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { isWorthRecording, type RecordedDevices } from "./device-memory.ts";
import { devicesIn, versionIn } from "./server-answers.ts";

export interface ServerRowOptions {
  /** For log lines. */
  url: string;
  lease: ServerLease;
  servers: Pick<ServerStore, "describeServer" | "recordDevices" | "recordModel" | "setServerState">;
  log: Logger;
}

/** The row of one server in the database. A column is written only when its value has changed. */
export class ServerRow {
  readonly #options: ServerRowOptions;
  #state = "";
  #devices: RecordedDevices | null = null;
  /** The abilities in the row, and the count of disconnects at which they were probed. */
  #description: { version: string | null; abilities: ServerAbilities; disconnects: number } | null = null;

  constructor(options: ServerRowOptions) {
    this.#options = options;
  }

  /** The size of the largest request that the server accepts; `null` = not known. */
  get uploadBytesMax(): number | null {
    return this.#description?.abilities.uploadBytesMax ?? null;
  }

  /**
   * Records the server's devices, and probes its abilities if the connection is a new one or the version has changed.
   * @param stats the answer to `/system_stats`
   */
  async describe(
    connector: ComfyUIConnector,
    stats: unknown,
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<ServerAbilities> {
    await this.#recordDevices(devicesIn(stats));
    const version = versionIn(stats);
    const { disconnects } = connector.counters;
    const known = this.#description;
    if (known?.version === version && known.disconnects === disconnects) return known.abilities;
    const abilities = await connector.probeAbilities(options);
    const { servers, lease } = this.#options;
    await servers.describeServer(lease, { version, abilities });
    this.#description = { version, abilities, disconnects };
    return abilities;
  }

  /** If the database is unavailable, a later call repeats it. */
  async #recordDevices(devices: ServerDevice[]): Promise<void> {
    const now = performance.now();
    if (!isWorthRecording(this.#devices, devices, now)) return;
    const { url, servers, lease, log } = this.#options;
    try {
      await servers.recordDevices(lease, devices);
      this.#devices = { devices, at: now };
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      log.debug({ err: error, server: url }, "a server's devices could not be recorded yet");
    }
  }

  /**
   * Records what the server has loaded. Other workers go by it when they choose lanes, so a record that is missing
   * because the database was unavailable only makes their choices worse, until the next change.
   */
  async recordModel(model: ServerModel): Promise<void> {
    const { url, servers, lease, log } = this.#options;
    try {
      await servers.recordModel(lease, model);
    } catch (error) {
      log.warn({ err: error, server: url }, "what a server has loaded could not be recorded");
    }
  }

  /** Records the state of the server. If the database is unavailable, the next call repeats it. */
  async recordState({ state, reason }: { state: ServerState; reason: string | null }): Promise<void> {
    const line = `${state} ${reason ?? ""}`;
    if (line === this.#state) return;
    const { url, servers, lease, log } = this.#options;
    try {
      await servers.setServerState(lease, state, reason);
      this.#state = line;
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      log.debug({ err: error, server: url }, "a server's state could not be recorded yet");
    }
  }
}
