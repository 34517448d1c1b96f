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

/** Of one server, in one pass. */
const promptsAtOnce = 50;
/** Passes, one a second, between two searches for entries that other workers left. */
const everyPasses = 5;
/** Short: what could not be asked is asked again in the next pass. */
const queueTimeoutMs = 2_000;
/** More than end while the database is away, since an end needs it; what is beyond is only deleted once more. */
const forgottenMax = 10_000;

/**
 * Sees to it that no ended prompt stays on its server. The end of an attempt notes its prompt; who recorded it deletes the
 * entry in the history and says so here, where all of a second are told to the database at once. Notes that stay are of
 * workers that died in between, and of servers that could not be reached or did not let go: whoever owns the server deletes
 * those entries. A prompt that is still in the queue keeps its note, also when its job has been removed: by the note the next
 * check of the server knows that nobody waits for it (`superseded-prompts.ts`).
 */
export class EndedPrompts {
  readonly #options: EndedPromptsOptions;
  #forgotten: string[] = [];
  #passes = 0;

  constructor(options: EndedPromptsOptions) {
    this.#options = options;
  }

  /** A prompt's entry is gone from its server. */
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
    log.info({ prompts: left.length }, "entries of ended prompts were looked for in the servers' histories");
  }

  /** Tells the database which entries are gone. */
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

  /** `null` = the server does not say. */
  async #promptsInQueue({ connector, url }: OwnedServer): Promise<Set<string> | null> {
    try {
      const { running, pending } = await connector.queue({ timeoutMs: queueTimeoutMs });
      return new Set([...running, ...pending].map(({ promptId }) => promptId));
    } catch (error) {
      if (!(error instanceof ComfyUIError)) throw error;
      this.#options.log.debug({ err: error, server: url }, "ended prompts could not be looked for yet");
      return null;
    }
  }
}
