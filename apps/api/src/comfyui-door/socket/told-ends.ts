import { LRUCache } from "lru-cache";
import { promptsMax } from "./known-prompts.ts";

/** Of which jobs the ends were told. */
export class ToldEnds {
  /** To which socket the end of which attempt. */
  readonly #told = new LRUCache<string, { socketId: string; attempt: number }>({ max: promptsMax });
  /** Jobs that ended while their clients had no socket: the queue's `status` was told then. */
  readonly #missed = new LRUCache<string, true>({ max: promptsMax });

  note(jobId: string, socketId: string, attempt: number): void {
    this.#told.set(jobId, { socketId, attempt });
  }

  /** @param attempt absent = any */
  has(jobId: string, socketId: string | undefined, attempt?: number): boolean {
    const told = this.#told.get(jobId);
    return told !== undefined && told.socketId === socketId && (attempt ?? told.attempt) === told.attempt;
  }

  forget(jobId: string): void {
    this.#told.delete(jobId);
  }

  noteMissed(jobId: string): void {
    this.#missed.set(jobId, true);
  }

  /** Whether it had been missed; it is not any more. */
  takeMissed(jobId: string): boolean {
    return this.#missed.delete(jobId);
  }
}
