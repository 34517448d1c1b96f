import { LRUCache } from "lru-cache";

/** A client that reads the history and then the queue does so within this time. */
export const askedMs = 5_000;
const queuesMax = 1_000;
const promptsMax = 1_000;
/** No prompt has a longer id, or one with a NUL character. */
const promptIdMax = 200;

interface Queue {
  tenantId: string;
  keyName: string;
}

/** What all processes know. */
interface AskedPrompts {
  connect(): void;
  /** @returns whether all know it now */
  note(queue: Queue, promptId: string): Promise<boolean>;
  forget(queue: Queue, promptId: string): Promise<void>;
  /** `null` = not known now. */
  list(queue: Queue): Promise<string[] | null>;
  close(): Promise<void>;
}

/**
 * Prompts of which a client was just told that the history has no entry. Clients that read the queue next, perhaps from another process,
 * take a prompt that is in neither for lost; so one that has ended between the two reads is still shown as running (PROTOCOL 0.2). If
 * Redis did not take a note, this process remembers it. While Redis is away, this process knows only its own notes.
 */
export class AskedHistory {
  readonly #shared: AskedPrompts;
  /** Whether all processes know of a prompt, by queue and prompt id. */
  readonly #queues = new LRUCache<string, LRUCache<string, boolean>>({ max: queuesMax });

  constructor(shared: AskedPrompts) {
    this.#shared = shared;
  }

  /** Clients may come from now on. */
  open(): void {
    this.#shared.connect();
  }

  /** The client of this key is going to be told that there is no entry. Resolves when all processes know, or cannot be told. */
  async noteNone(queue: Queue, promptId: string): Promise<void> {
    if (promptId.length > promptIdMax || promptId.includes("\0")) return;
    const name = nameOf(queue);
    const prompts =
      this.#queues.get(name) ??
      new LRUCache<string, boolean>({ max: promptsMax, ttl: askedMs, ttlResolution: 0 });
    this.#queues.set(name, prompts);
    prompts.set(promptId, false);
    const isShared = await this.#shared.note(queue, promptId);
    // It may have been seen meanwhile.
    if (isShared && prompts.has(promptId)) prompts.set(promptId, true, { noUpdateTTL: true });
  }

  /** The client is going to see the entry. */
  noteSeen(queue: Queue, promptId: string): void {
    this.#queues.get(nameOf(queue))?.delete(promptId);
    // If it fails, the prompt is shown as running for some seconds more.
    this.#shared.forget(queue, promptId).catch(() => undefined);
  }

  /** What the client of this key believes not to have ended. */
  async believedOpen(queue: Queue): Promise<string[]> {
    const shared = await this.#shared.list(queue);
    const prompts = this.#queues.get(nameOf(queue));
    prompts?.purgeStale();
    const own = [...(prompts?.entries() ?? [])];
    if (shared === null) return own.map(([promptId]) => promptId);
    const all = new Set(shared);
    for (const [promptId, isShared] of own) {
      // Redis may have taken it after all, only too late to say so; from then on other processes may say that it was seen.
      if (all.has(promptId)) prompts?.set(promptId, true, { noUpdateTTL: true });
      else if (!isShared) all.add(promptId);
    }
    return [...all];
  }

  async close(): Promise<void> {
    await this.#shared.close();
  }
}

function nameOf({ tenantId, keyName }: Queue): string {
  return JSON.stringify([tenantId, keyName]);
}
