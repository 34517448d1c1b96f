import { type WebSocket } from "ws";
import { stringifyPythonJson, type PythonJson } from "../python/python-json.ts";
import { assertHashable, isDict, isTruthy, PythonError, type PythonValue } from "../python/python-values.ts";

interface Client {
  readonly socket: WebSocket;
  flags: PythonValue;
}

interface Outgoing {
  readonly to: PythonValue;
  readonly content: { readonly event: string; readonly data: PythonJson } | Buffer;
}

/** The time between the exception that ends the process and its end. */
const fatalDelayMs = 100;

/**
 * The sockets by client id, one per id. A later socket with the same id replaces the earlier one, and when the earlier
 * one finally closes, the registration of the later one is removed: a bug of the real server that is simulated
 * (PROTOCOL 0.4).
 *
 * Messages leave in the order in which they were produced, after the HTTP reply that caused them.
 */
export class ClientSockets {
  readonly #clients = new Map<string, Client>();
  readonly #muted = new WeakSet<WebSocket>();
  #outgoing: Outgoing[] = [];
  #isScheduled = false;
  #isHeld = false;
  readonly #onFatal: (reason: string) => void;

  /**
   * @param onFatal called when the server ends, because a message was addressed to a value that cannot be a client id
   */
  constructor(onFatal: (reason: string) => void) {
    this.#onFatal = onFatal;
  }

  register(clientId: string, socket: WebSocket): void {
    this.#clients.delete(clientId);
    this.#clients.set(clientId, { socket, flags: new Map() });
  }

  /** Removes the registration of the id, even if it belongs to another socket by now. */
  unregister(clientId: string): void {
    this.#clients.delete(clientId);
  }

  setFlags(clientId: string, flags: PythonValue): void {
    const client = this.#clients.get(clientId);
    if (client) client.flags = flags;
  }

  /** Whether a client negotiated previews with metadata. Broadcasts never use them. */
  wantsPreviewMetadata(clientId: PythonValue): boolean {
    const client = typeof clientId === "string" ? this.#clients.get(clientId) : undefined;
    return (
      client !== undefined && isDict(client.flags) && isTruthy(client.flags.get("supports_preview_metadata"))
    );
  }

  /**
   * Whether a message to that client (null: to all) would reach a socket; used to skip work for messages without a
   * receiver.
   */
  hasListener(clientId: PythonValue): boolean {
    if (clientId === null) return this.#clients.size > 0;
    return typeof clientId !== "string" || this.#clients.has(clientId);
  }

  /** @param to a client id; null for all clients */
  send(event: string, data: PythonJson, to: PythonValue): void {
    this.#enqueue({ to, content: { event, data } });
  }

  sendBinary(frame: Buffer, to: PythonValue): void {
    this.#enqueue({ to, content: frame });
  }

  /** Sends a message of a socket's handshake at once, to the socket that is registered under the id. */
  sendNow(event: string, data: PythonJson, clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client) this.#deliver(client, stringifyPythonJson({ type: event, data }));
  }

  /** Stops sending to the sockets that are open now, without closing them. */
  mute(): void {
    for (const { socket } of this.#clients.values()) this.#muted.add(socket);
  }

  isMuted(socket: WebSocket): boolean {
    return this.#muted.has(socket);
  }

  /** Holds messages back (a frozen process), or lets them go. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (!isHeld) this.#schedule();
  }

  clear(): void {
    this.#clients.clear();
    this.#outgoing = [];
  }

  #enqueue(message: Outgoing): void {
    this.#outgoing.push(message);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isHeld || this.#outgoing.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isHeld) {
      const message = this.#outgoing.shift();
      if (message === undefined) return;
      const { to, content } = message;
      const clients = this.#addressed(to);
      if (clients.length === 0) continue;
      const bytes = Buffer.isBuffer(content)
        ? content
        : stringifyPythonJson({ type: content.event, data: content.data });
      for (const client of clients) this.#deliver(client, bytes);
    }
  }

  #addressed(to: PythonValue): Client[] {
    if (to === null) return [...this.#clients.values()];
    try {
      assertHashable(to);
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      this.#isHeld = true;
      // The process continues for a moment, so messages that were sent before still arrive.
      setTimeout(this.#onFatal, fatalDelayMs, error.message);
      return [];
    }
    const client = typeof to === "string" ? this.#clients.get(to) : undefined;
    return client ? [client] : [];
  }

  #deliver(client: Client, bytes: Buffer | string): void {
    const { socket } = client;
    if (socket.readyState === socket.OPEN && !this.#muted.has(socket)) socket.send(bytes);
  }
}
