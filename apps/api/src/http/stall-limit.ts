import { type Logger } from "@genga/runtime";
import { type Response } from "express";
import { requestIdOf } from "./request-log.ts";

/** How often it is looked in the time that a client may take nothing. */
const looks = 4;

/** Cuts off clients that take nothing of their answers any more, so that nobody holds files and places open for ever. */
export class StallLimit {
  readonly #parts: { stalledMs: number; log: Logger };

  /** @param parts.stalledMs a client that takes nothing for this long, or up to a quarter longer, counts as gone */
  constructor(parts: { stalledMs: number; log: Logger }) {
    this.#parts = parts;
  }

  /**
   * Watches until the answer is sent or the client has left. A client that takes a little now and then is left alone, and so is
   * one that waits for us.
   * @returns aborted when the client was cut off, or has left before its answer got its turn on the connection
   */
  watch(response: Response): AbortSignal {
    const { stalledMs, log } = this.#parts;
    const stalled = new AbortController();
    if (response.closed) return stalled.signal;
    let taken = takenFrom(response);
    let idleLooks = 0;
    // Looks are counted, not time: a process that was held up must not take its own pause for the client's.
    const { socket } = response.req;
    const timer = setInterval(() => {
      // An answer that waits behind another one on its connection is not told of the connection's end.
      if (socket.destroyed) {
        end();
        return;
      }
      const takenNow = takenFrom(response);
      const isIdle = response.writableLength > 0 && takenNow === taken;
      taken = takenNow;
      idleLooks = isIdle ? idleLooks + 1 : 0;
      if (idleLooks < looks) return;
      log.warn({ requestId: requestIdOf(response), stalledMs }, "a client that took nothing was cut off");
      socket.destroy();
      end();
    }, stalledMs / looks).unref();
    const end = (): void => {
      clearInterval(timer);
      stalled.abort();
      response.destroy();
      // Who waits for an answer that never had its turn would wait for ever.
      if (response.socket === null) response.emit("close");
    };
    response.once("close", () => {
      clearInterval(timer);
    });
    return stalled.signal;
  }
}

/** The bytes that the connection's client, or the system for it, has taken so far. */
function takenFrom({ req: { socket } }: Response): number {
  return socket.bytesWritten - socket.writableLength;
}
