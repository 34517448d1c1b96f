import { ComfyUIError } from "@genga/comfyui";
import { type EndedPrompt, type KeepingStore } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { forgetPrompt } from "../job/forget-prompt.ts";
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

/**
 * Makes sure that ended prompts leave their servers. The transaction that ends an attempt also records its prompt. The
 * worker that ran it then deletes the entry in the server's history and reports that here; once a second all reports
 * are written to the database at once. Records remain when that worker died, or when the server was unreachable or kept
 * the prompt; then the owner of the server deletes the entries. A prompt that is still in the server's queue keeps its
 * record even if its job was removed. By that record the next check of the server finds out that the prompt must be
 * ended (`superseded-prompts.ts`).
 */
export class EndedPrompts {
  readonly #options: EndedPromptsOptions;
  #forgotten: string[] = [];
  #passes = 0;

  constructor(options: EndedPromptsOptions) {
    this.#options = options;
  }

  /** The prompt's entry was deleted from its server. */
  noteForgotten(promptId: string): void {
    if (this.#forgotten.length < forgottenMax) this.#forgotten.push(promptId);
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
      for (const promptId of forgotten) this.noteForgotten(promptId);
      throw error;
    }
  }

  async #forgetOn(server: OwnedServer, left: EndedPrompt[]): Promise<void> {
    const own = left.filter(({ serverId }) => serverId === server.id);
    const queued = own.length === 0 ? null : await this.#promptsInQueue(server);
    if (queued === null) return;
    for (const { promptId } of own) {
      if (queued.has(promptId)) continue;
      if (!(await forgetPrompt(server.connector, promptId, { log: this.#options.log }))) return;
      this.noteForgotten(promptId);
    }
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
