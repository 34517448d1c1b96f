import { type RequestListener } from "node:http";
import { type Socket } from "node:net";

/** Requests that wait on one connection. A client that sends more before it has its answers is cut off. */
const waitingMax = 100;

/**
 * Handles the requests that a client sends over one connection one after the other: each when the answer before it has ended,
 * and none any more when the client has left. Node would hand over all at once, and tells an answer that waits for its
 * turn nothing of the end of its connection: what belongs to such a request would never be released.
 */
export function inTurn(handle: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    if (response.socket !== null) {
      handle(request, response);
      return;
    }
    const count = (waiting.get(socket) ?? 0) + 1;
    waiting.set(socket, count);
    if (count > waitingMax) {
      socket.destroy();
      return;
    }
    response.once("socket", () => {
      waiting.set(socket, (waiting.get(socket) ?? 1) - 1);
      // In a tick of its own, so that the answers of a long row do not nest.
      setImmediate(() => {
        if (!response.closed) handle(request, response);
      });
    });
  };
}
