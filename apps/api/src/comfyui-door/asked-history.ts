import { LRUCache } from "lru-cache";

/** A client that reads the history and then the queue does so within this time. */
const askedMs = 5_000;
const queuesMax = 1_000;
const promptsMax = 1_000;

interface Queue {
  tenantId: string;
  keyName: string;
}

/**
 * Prompts of which a client was just told that the history has no entry. Clients that read the queue next take a prompt that is in
 * neither for lost; so one that has ended between the two reads is still shown as running (PROTOCOL 0.2). Of this process only.
 */
export class AskedHistory {
  readonly #queues = new LRUCache<string, LRUCache<string, true>>({ max: queuesMax });

  /** The client of this key was told that there is no entry. */
  noteNone({ tenantId, keyName }: Queue, promptId: string): void {
    const queue = nameOf(tenantId, keyName);
    const prompts =
      this.#queues.get(queue) ??
      new LRUCache<string, true>({ max: promptsMax, ttl: askedMs, ttlResolution: 0 });
    this.#queues.set(queue, prompts);
    prompts.set(promptId, true);
  }

  /** The client has seen the entry. */
  noteSeen({ tenantId, keyName }: Queue, promptId: string): void {
    this.#queues.get(nameOf(tenantId, keyName))?.delete(promptId);
  }

  /** What the client of this key believes not to have ended. */
  believedOpen({ tenantId, keyName }: Queue): string[] {
    const prompts = this.#queues.get(nameOf(tenantId, keyName));
    prompts?.purgeStale();
    return [...(prompts?.keys() ?? [])];
  }
}

function nameOf(tenantId: string, keyName: string): string {
  return JSON.stringify([tenantId, keyName]);
}
