import { once } from "node:events";
import { type Response } from "express";

/** A client that takes no data for this long counts as gone. */
const stalledMs = 60_000;

/** Server-sent events on one response. At most one message is in flight: the writer waits for a slow client. */
export class EventStream {
  readonly #response: Response;
  readonly #closing = new AbortController();
  #writtenAt = performance.now();

  /** @param stop ends the stream because the process stops; the client is told to come back soon */
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
    // The client may have left before, while it was found out whether the stream may be opened.
    if (stop.aborted || response.closed) end();
    const leave = (): void => {
      response.write(comeBack());
      end();
    };
    stop.addEventListener("abort", leave, { signal: this.#closing.signal });
  }

  /** Aborted when the client has left, or the stream was ended. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** Milliseconds since the last write. */
  get idleMs(): number {
    return performance.now() - this.#writtenAt;
  }

  /**
   * Resolves when the client has taken enough for the next message to be sent. The client sends `id` back when it
   * reconnects.
   */
  async send(event: string, data: unknown, id?: number | string): Promise<void> {
    await this.#write(messageOf(event, JSON.stringify(data), id));
  }

  /** The same for data that are JSON already. */
  async sendJson(event: string, json: string): Promise<void> {
    await this.#write(messageOf(event, json));
  }

  /**
   * Sends a comment, which keeps proxies from closing a quiet connection and shows whether the connection still works.
   * @param id the client sends it back when it reconnects, as if a message had had it
   */
  async comment(text: string, id?: string): Promise<void> {
    await this.#write(`: ${text}\n${id === undefined ? "" : `id: ${id}\n`}\n`);
  }

  /** Ends the stream; a client that does not take the rest in time is cut off. */
  end(): void {
    if (this.#response.writableEnded) return;
    this.#closing.abort();
    this.#response.end();
    const timer = setTimeout(() => this.#response.destroy(), stalledMs).unref();
    this.#response.once("close", () => {
      clearTimeout(timer);
    });
  }

  /** Ends the stream from this side, with a last message that gives the reason. */
  endWith(event: string, data: unknown): void {
    if (!this.closed.aborted) this.#response.write(messageOf(event, JSON.stringify(data)));
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

/**
 * The last words of a process that stops. Its clients come back to another process, at different times, so that they do
 * not all arrive at once.
 */
function comeBack(): string {
  const retryMs = Math.round(250 + Math.random() * 1_750);
  return `retry: ${retryMs}\n: this process stops; reconnect to go on\n\n`;
}

function messageOf(event: string, json: string, id?: number | string): string {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  return `event: ${event}\n${idLine}data: ${json}\n\n`;
}
