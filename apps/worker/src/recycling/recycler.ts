import { setTimeout as sleep } from "node:timers/promises";
import {
  type RecycleOutcome,
  type ServerUpkeep,
  StoreUnavailableError,
  type UpkeepRecord,
} from "@genga/jobs";
import { type Logger, type RecycleSettings } from "@genga/runtime";
import { type Counter } from "prom-client";
import { type OwnedServer } from "../servers/owned-server.ts";
import { Coalescer } from "../timing/coalescer.ts";
import { type RecycleCause, whyRecycle } from "./recycle-rule.ts";
import { runHook } from "./run-hook.ts";

export interface RecyclerOptions {
  upkeep: ServerUpkeep;
  settings: RecycleSettings;
  owned: () => readonly OwnedServer[];
  /** Runs on the server, also those whose outputs are being saved. */
  runsOn: (server: OwnedServer) => number;
  /** This worker gives its servers no new work at all. */
  isDraining: () => boolean;
  /** Resolves when no job can be claimed any more that was chosen before this call. */
  claimsEnded: () => Promise<void>;
  ended: Counter<"cause" | "outcome">;
  log: Logger;
}

interface End {
  outcome: RecycleOutcome;
  message: string | null;
}

/** Prompts of other clients are waited for at most so long. */
const othersMaxMs = 10 * 60_000;
const callTimeoutMs = 5_000;
const lookMs = 250;

/**
 * Recycles the servers of one worker, one at a time: gives the server no new work, waits until its prompts have ended and
 * their outputs are saved, asks it to free its memory, and runs the hook, which may restart it. The server's row says that
 * it is being recycled until that has ended, so that the next owner does what a dead worker left.
 */
export class Recycler {
  readonly #options: RecyclerOptions;
  readonly #looks = new Coalescer(() => this.#look());
  readonly #stopping = new AbortController();
  #running: { server: OwnedServer; leaving: AbortController; ended: Promise<void> } | null = null;

  constructor(options: RecyclerOptions) {
    this.#options = options;
  }

  /** Counts the prompts that have ended, and begins what is due. */
  look(): Promise<void> {
    return this.#stopping.signal.aborted ? Promise.resolve() : this.#looks.trigger();
  }

  /** Ends what is under way; the next owners of the servers do it. May take as long as the hook takes to end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looks.whenIdle();
    await this.#running?.ended;
  }

  async #look(): Promise<void> {
    const { upkeep, settings, log } = this.#options;
    const servers = this.#options.owned();
    // Another worker owns it now, and recycles it.
    if (this.#running !== null && !servers.includes(this.#running.server)) this.#running.leaving.abort();
    if (servers.length === 0) return;
    try {
      for (const server of servers) await this.#notePrompts(server);
      if (this.#running !== null || this.#options.isDraining()) return;
      const records = await upkeep.listUpkeep(servers.map(({ id }) => id));
      const known = new Map(records.map((record) => [record.serverId, record]));
      for (const server of servers) {
        const isBegun = (known.get(server.id)?.recycleReason ?? null) !== null;
        if (server.holds.has("recycling") && !isBegun) server.hold("recycling", null);
      }
      const [due] = servers
        .flatMap((server) => {
          const record = known.get(server.id);
          const why = whyRecycle(record, server.wear.freeMemory, settings, new Date());
          return why === null ? [] : [{ server, record, ...why }];
        })
        .toSorted((one, other) => askedAt(one.record) - askedAt(other.record));
      if (due !== undefined) this.#begin(due.server, due.cause, due.reason);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      log.debug({ err: error }, "whether a server is to be recycled is not known yet");
    }
  }

  async #notePrompts(server: OwnedServer): Promise<void> {
    const count = server.wear.takePromptsEnded();
    if (count === 0) return;
    try {
      await this.#options.upkeep.notePrompts(server.lease, count);
    } catch (error) {
      server.wear.returnPromptsEnded(count);
      throw error;
    }
  }

  #begin(server: OwnedServer, cause: RecycleCause, reason: string): void {
    const leaving = new AbortController();
    const signal = AbortSignal.any([this.#stopping.signal, leaving.signal]);
    const ended = this.#recycle(server, { cause, reason, signal })
      .catch((error: unknown) => {
        this.#options.log.error({ err: error, server: server.url }, "a server could not be recycled");
      })
      .finally(() => {
        this.#running = null;
        // Otherwise its next owner recycles it, and it gets no work from this worker.
        if (!signal.aborted) server.hold("recycling", null);
      });
    this.#running = { server, leaving, ended };
  }

  async #recycle(
    server: OwnedServer,
    { cause, reason, signal }: { cause: RecycleCause; reason: string; signal: AbortSignal },
  ): Promise<void> {
    const { upkeep, log, ended } = this.#options;
    // A server that is held is not handed over: before its row says so, because that takes time.
    server.hold("recycling", `Recycling: ${reason}. Its prompts end first.`);
    if (!(await upkeep.beginRecycle(server.lease, reason))) return;
    log.info({ server: server.url, reason }, "recycling: the server gets no new work");
    let end: End;
    try {
      const isEmpty = await this.#untilEmpty(server, signal);
      end = isEmpty ? await this.#free(server, reason, signal) : { outcome: "busy", message: busyMessage };
    } catch (error) {
      if (signal.aborted) {
        log.info({ server: server.url }, leftMessage);
        return;
      }
      // Recorded as an end like any other: without one it would begin again at once, for ever.
      log.error({ err: error, server: server.url }, "the recycling of a server failed unexpectedly");
      end = { outcome: "hook-failed", message: error instanceof Error ? error.message : String(error) };
    }
    if (!(await this.#record(server, end, signal))) {
      log.info({ server: server.url }, leftMessage);
      return;
    }
    ended.inc({ cause, outcome: end.outcome });
    const told = { server: server.url, reason, ...end };
    if (end.outcome === "done") log.info(told, "recycled: the server may get work again");
    else log.warn(told, "the server could not be recycled as asked");
  }

  /** `false` = prompts of other clients did not end. @throws the signal's reason */
  async #untilEmpty(server: OwnedServer, signal: AbortSignal): Promise<boolean> {
    await this.#options.claimsEnded();
    const { upkeep, log } = this.#options;
    let othersSince: number | null = null;
    for (;;) {
      signal.throwIfAborted();
      if (this.#options.runsOn(server) === 0) {
        try {
          const isOurs = (await upkeep.countProcessing([server.id])) > 0;
          if (!isOurs && (await isIdle(server, signal))) return true;
          // A server that does not answer has nothing that could be waited for, and its hook may be its cure.
          if (!isOurs && !server.isAnswering) return true;
          othersSince = isOurs ? null : (othersSince ?? performance.now());
        } catch (error) {
          if (!(error instanceof StoreUnavailableError)) throw error;
          log.debug({ err: error }, "whether a server is empty is not known yet");
        }
        if (othersSince !== null && performance.now() - othersSince > othersMaxMs) return false;
      }
      await sleep(lookMs, undefined, { signal });
    }
  }

  async #free(server: OwnedServer, reason: string, signal: AbortSignal): Promise<End> {
    const { settings, log } = this.#options;
    let notFreed: string | null = null;
    try {
      server.hold("recycling", `Recycling: ${reason}. Its memory is freed.`);
      await server.connector.free({ unloadModels: true, freeMemory: true, signal, timeoutMs: callTimeoutMs });
    } catch (error) {
      signal.throwIfAborted();
      notFreed = error instanceof Error ? error.message : String(error);
      log.warn({ err: error, server: server.url }, "the server could not be asked to free memory");
    }
    server.noteUnloaded();
    if (settings.hook.length === 0)
      return notFreed === null
        ? { outcome: "done", message: null }
        : { outcome: "not-freed", message: notFreed };
    // It may have been handed over since the last look.
    if (!this.#options.owned().includes(server)) this.#running?.leaving.abort();
    signal.throwIfAborted();
    server.hold("recycling", `Recycling: ${reason}. The hook runs.`);
    const { succeeded, message } = await runHook(settings.hook, {
      env: {
        ...settings.hookEnvironment,
        // Of a DNS name this is the one address, not the name that it shares with others.
        GENGA_SERVER_URL: server.url.split("#", 1)[0] ?? server.url,
        GENGA_SERVER_ID: server.id,
        GENGA_RECYCLE_REASON: reason,
      },
      ...{ timeoutMs: settings.hookTimeoutMs, signal },
    });
    signal.throwIfAborted();
    // It may have restarted with other nodes and models.
    await server.checkNow(signal, { definitionsWanted: true });
    return { outcome: succeeded ? "done" : "hook-failed", message };
  }

  /**
   * While the database is unavailable the server stays out of service: its row says that it is being recycled.
   * @returns `false` = not recorded: this worker stops, or another one owns the server now
   */
  async #record(server: OwnedServer, end: End, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      try {
        return await this.#options.upkeep.endRecycle(server.lease, end);
      } catch (error) {
        if (!(error instanceof StoreUnavailableError)) throw error;
        if (signal.aborted) return false;
        await sleep(1_000, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

const leftMessage = "recycling: left to the server's next owner";
const busyMessage = "Prompts of other clients did not end.";

/** Neither of ours nor of other clients is there a prompt. `false` also if it does not answer. */
async function isIdle(server: OwnedServer, signal: AbortSignal): Promise<boolean> {
  try {
    const { running, pending } = await server.connector.queue({ signal, timeoutMs: callTimeoutMs });
    return running.length + pending.length === 0;
  } catch {
    signal.throwIfAborted();
    await server.checkNow(signal);
    return false;
  }
}

/** What was asked for first comes first, and before what is due by its measures. */
function askedAt(record: UpkeepRecord | undefined): number {
  return record?.recycleAskedAt?.getTime() ?? Infinity;
}
