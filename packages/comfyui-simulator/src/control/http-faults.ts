import { setTimeout as delay } from "node:timers/promises";

/** Faults between the server and the reader of its replies, armed from the control interface. */
export class HttpFaults {
  readonly #delays = new Map<string, number>();
  #lostReplies = 0;
  #errorsAfterQueueing = 0;

  /** Delays every reply to a path (with or without `/api`) with this beginning. */
  delayReplies(path: string, ms: number): void {
    this.#delays.set(path, ms);
  }

  loseReplies(count: number): void {
    this.#lostReplies = count;
  }

  failAfterQueueing(count: number): void {
    this.#errorsAfterQueueing = count;
  }

  clear(): void {
    this.#delays.clear();
    this.#lostReplies = 0;
    this.#errorsAfterQueueing = 0;
  }

  async delay(path: string): Promise<void> {
    const plain = path.replace(/^\/api(?=\/)/, "");
    for (const [prefix, ms] of this.#delays) if (plain.startsWith(prefix)) await delay(ms);
  }

  takeLostReply(): boolean {
    return this.#lostReplies > 0 && this.#lostReplies-- > 0;
  }

  takeErrorAfterQueueing(): boolean {
    return this.#errorsAfterQueueing > 0 && this.#errorsAfterQueueing-- > 0;
  }
}
