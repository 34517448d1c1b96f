import { once } from "node:events";
import { type Response } from "express";

/** A reader that takes nothing for so long is gone. */
const stalledMs = 60_000;

/** Server-sent events on one response; at most one message is on its way, and the writer waits for slow readers. */
export class EventStream {
  readonly #response: Response;
  readonly #closing = new AbortController();
  #writtenAt = performance.now();

  /** @param stop ends the stream, for example because the process stops */
  constructor(response: Response, stop: AbortSignal) {
    this.#response = response;
    response.status(200).set({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    response.flushHeaders();
    const end = (): void => {
      this.#closing.abort();
    };
    response.once("close", end);
    response.once("error", end);
    if (stop.aborted) end();
    stop.addEventListener("abort", end, { signal: this.#closing.signal });
  }

  /** Aborted once nobody reads any more, or the stream was ended. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** How long nothing was written. */
  get idleMs(): number {
    return performance.now() - this.#writtenAt;
  }

  /** Resolves when the reader has taken enough for the next message. `id` is what a reconnect names. */
  async send(event: string, data: unknown, id?: number): Promise<void> {
    await this.#write(messageOf(event, data, id));
  }

  /** Keeps proxies from closing a quiet connection, and finds out whether it still is one. */
  async comment(text: string): Promise<void> {
    await this.#write(`: ${text}\n\n`);
  }

  /** A reader that does not take the rest is cut off after a while. */
  end(): void {
    if (this.#response.writableEnded) return;
    this.#closing.abort();
    this.#response.end();
    const timer = setTimeout(() => this.#response.destroy(), stalledMs).unref();
    this.#response.once("close", () => {
      clearTimeout(timer);
    });
  }

  /** Ends the stream from our side, with a last message that says why. */
  endWith(event: string, data: unknown): void {
    if (!this.closed.aborted) this.#response.write(messageOf(event, data));
    this.end();
  }

  async #write(text: string): Promise<void> {
    if (this.closed.aborted) return;
    this.#writtenAt = performance.now();
    if (this.#response.write(text)) return;
    const stalled = AbortSignal.timeout(stalledMs);
    try {
      await once(this.#response, "drain", { signal: AbortSignal.any([this.closed, stalled]) });
    } catch {
      // Either it was closed, or it is closed now.
      if (stalled.aborted) this.#response.destroy();
    }
  }
}

function messageOf(event: string, data: unknown, id?: number): string {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  return `event: ${event}\n${idLine}data: ${JSON.stringify(data)}\n\n`;
}
