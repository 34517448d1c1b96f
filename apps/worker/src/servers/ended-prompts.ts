import { ComfyUIError, type ComfyUIConnector } from "@genga/comfyui";
import { type EndedPrompt, type KeepingStore } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { forgetPrompts } from "../job/forget-prompts.ts";
import { type OwnedServer } from "./owned-server.ts";

export interface EndedPromptsOptions {
  store: Pick<KeepingStore, "listPromptsToForget" | "notePromptsForgotten">;
  servers: () => readonly OwnedServer[];
  log: Logger;
}

/** For one server, in one pass. */
const promptsAtOnce = 50;
/** The entries that other workers left are searched every so many passes; a pass is one second. */
const everyPasses = 5;
/** Short, because a request that fails is repeated in the next pass. */
const queueTimeoutMs = 2_000;
/**
 * Prompts cannot end while the database is unavailable, so few are remembered here. The entry of one beyond this number
 * is merely deleted once more.
 */
const forgottenMax = 10_000;
/** Entries whose deletion was asked for are deleted together after this time. */
const soonMs = 200;
/** Of one server, together; what comes beyond that meanwhile is left to its record. */
const soonMax = 1_000;

/**
 * Makes sure that ended prompts leave their servers. The transaction that ends an attempt also records its prompt. The
 * worker that ran it then asks here to delete the entry in the server's history. Those of a moment are deleted by one
 * request, since each would cost a server with short jobs a part of its time; once a second all deletions are written to
 * the database at once. Records remain when that worker died, or when the server was unreachable or kept
 * the prompt; then the owner of the server deletes the entries. A prompt that is still in the server's queue keeps its
 * record even if its job was removed. By that record the next check of the server finds out that the prompt must be
 * ended (`superseded-prompts.ts`).
 */
export class EndedPrompts {
  readonly #options: EndedPromptsOptions;
  #forgotten: string[] = [];
  #passes = 0;
  readonly #soon = new Map<ComfyUIConnector, string[]>();
  #soonTimer: NodeJS.Timeout | null = null;

  constructor(options: EndedPromptsOptions) {
    this.#options = options;
  }

  /** The end of the prompt's attempt is committed. Returns at once. */
  forgetSoon(connector: ComfyUIConnector, promptId: string): void {
    const promptIds = this.#soon.get(connector) ?? [];
    if (promptIds.length >= soonMax) return;
    this.#soon.set(connector, [...promptIds, promptId]);
    this.#soonTimer ??= setTimeout(() => void this.forgetNow(), soonMs);
  }

  /** Deletes the entries whose deletion was asked for. Never rejects: the records of those that stay are there. */
  async forgetNow(): Promise<void> {
    clearTimeout(this.#soonTimer ?? undefined);
    this.#soonTimer = null;
    const soon = [...this.#soon];
    this.#soon.clear();
    await Promise.all(soon.map(([connector, promptIds]) => this.#forget(connector, promptIds)));
  }

  async #forget(connector: ComfyUIConnector, promptIds: readonly string[]): Promise<void> {
    if (await forgetPrompts(connector, promptIds, { log: this.#options.log })) this.#noteForgotten(promptIds);
  }

  #noteForgotten(promptIds: readonly string[]): void {
    this.#forgotten.push(...promptIds.slice(0, forgottenMax - this.#forgotten.length));
  }

  async tick(): Promise<void> {
    await this.flush();
    if (this.#passes++ % everyPasses > 0) return;
    const { store, servers, log } = this.#options;
    const answering = servers().filter((server) => server.isAnswering);
    const left = await store.listPromptsToForget(
      answering.map(({ id }) => id),
      promptsAtOnce,
    );
    if (left.length === 0) return;
    await Promise.all(answering.map((server) => this.#forgetOn(server, left)));
    await this.flush();
    log.info(
      { prompts: left.length },
      "entries of ended prompts were deleted from the servers' histories, if they were there",
    );
  }

  /** Writes to the database which entries were deleted. */
  async flush(): Promise<void> {
    const forgotten = this.#forgotten;
    if (forgotten.length === 0) return;
    this.#forgotten = [];
    try {
      await this.#options.store.notePromptsForgotten(forgotten);
    } catch (error) {
      this.#noteForgotten(forgotten);
      throw error;
    }
  }

  async #forgetOn(server: OwnedServer, left: EndedPrompt[]): Promise<void> {
    const own = left.filter(({ serverId }) => serverId === server.id);
    const queued = own.length === 0 ? null : await this.#promptsInQueue(server);
    if (queued === null) return;
    const gone = own.flatMap(({ promptId }) => (queued.has(promptId) ? [] : [promptId]));
    if (gone.length > 0) await this.#forget(server.connector, gone);
  }

  /** `null` = the server did not answer. */
  async #promptsInQueue({ connector, url }: OwnedServer): Promise<Set<string> | null> {
    try {
      const { running, pending } = await connector.queue({ timeoutMs: queueTimeoutMs });
      return new Set([...running, ...pending].map(({ promptId }) => promptId));
    } catch (error) {
      if (!(error instanceof ComfyUIError)) throw error;
      this.#options.log.debug(
        { err: error, server: url },
        "entries of ended prompts could not be deleted yet",
      );
      return null;
    }
  }
}
