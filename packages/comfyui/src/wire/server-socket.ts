import { type LookupFunction } from "node:net";
import { WebSocket } from "ws";

import { ComfyUIError } from "./errors.ts";
import { toComfyUIError } from "./foreign-errors.ts";
import { clientFeatureFlags } from "./messages.ts";

export interface ServerSocketOptions {
  /** `ws://…/ws?clientId=…` */
  url: string;
  /** Asked for each connection; may throw. */
  headers: () => Readonly<Record<string, string>>;
  /** How names are looked up; undefined = as usual. */
  lookup: LookupFunction | undefined;
  pingIntervalMs: number;
  backoff: { minMs: number; maxMs: number };
  /** A longer message closes the connection (1009), which then opens again. */
  messageBytesMax: number;
  /** A text message, as UTF-8. */
  onText(data: Buffer): void;
  onBinary(frame: Buffer): void;
  /** The socket is open and registered with the server: from now on no message is missed. */
  onOpen(): void;
  onClose(reason: ComfyUIError | undefined): void;
}

const handshakeTimeoutMs = 5_000;
/** How long to wait for the server's part of the closing handshake, and for its greeting after opening. */
const courtesyMs = 1_000;
/**
 * A busy server sometimes answers late. Three pings in a row without an answer or a message mean that the connection is
 * dead.
 */
const pingsUnansweredMax = 3;

interface Waiter {
  resolve: () => void;
  reject: (reason: unknown) => void;
}

/**
 * The WebSocket of one client id, kept open until `close()`: it reconnects with backoff and jitter, and pings, since
 * the server never does (PROTOCOL 3).
 *
 * One loop owns the connection, and opens the next one only after the `close` event of the last one. This order avoids
 * a fault of the server (PROTOCOL 0.4): a server that notices the end of an old socket after the start of a new one
 * with the same client id unregisters the new socket for good, without a message.
 */
export class ServerSocket {
  readonly #options: ServerSocketOptions;
  readonly #loop: Promise<void>;
  #socket: WebSocket | undefined;
  #waiters = new Set<Waiter>();
  #isClosing = false;
  #isReady = false;
  #isReopening = false;
  #wake: (() => void) | undefined;
  #lastMessageAt = performance.now();

  constructor(options: ServerSocketOptions) {
    this.#options = options;
    this.#loop = this.#keepOpen();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Milliseconds since the last message of any kind: a registered socket sees at least the `status` broadcasts. */
  get silentMs(): number {
    return performance.now() - this.#lastMessageAt;
  }

  /** Resolves when the socket is open and registered; rejects when the next attempt fails, or at `signal`. */
  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#isReady) return;
    if (this.#isClosing) throw closedError();
    const waiter: Waiter = { resolve: () => undefined, reject: () => undefined };
    const abort = (): void => {
      waiter.reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        waiter.resolve = resolve;
        waiter.reject = reject;
        this.#waiters.add(waiter);
        this.#wake?.();
      });
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Closes the connection, waits for its end, and opens a new one at once. */
  reopen(): void {
    if (!this.#isReady || this.#isClosing || this.#isReopening) return;
    this.#isReopening = true;
    this.#shut();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#wake?.();
    this.#shut();
    await this.#loop;
    this.#rejectWaiters(closedError());
  }

  async #keepOpen(): Promise<void> {
    let failures = 0;
    while (!this.#isClosing) {
      const openedAt = performance.now();
      const reason = await this.#connection();
      // After a connection that lasted for a while the backoff starts anew; after one that broke at once it continues
      // to grow.
      if (performance.now() - openedAt > this.#options.backoff.maxMs) failures = 0;
      if (this.#isReopening) {
        this.#isReopening = false;
        continue;
      }
      this.#rejectWaiters(reason ?? closedError());
      await this.#pause(failures);
      failures += 1;
    }
  }

  /** One connection from its beginning to its end; resolves with the reason of its end, and never rejects. */
  #connection(): Promise<ComfyUIError | undefined> {
    let socket: WebSocket;
    try {
      socket = this.#open();
    } catch (error) {
      return Promise.resolve(toComfyUIError(error, "WebSocket"));
    }
    this.#socket = socket;
    let reason: ComfyUIError | undefined;
    let pinging: NodeJS.Timeout | undefined;
    let greeting: NodeJS.Timeout | undefined;
    return new Promise((resolve) => {
      socket.on("open", () => {
        socket.send(clientFeatureFlags);
        pinging = this.#keepPinging(socket);
        greeting = setTimeout(() => {
          this.#becomeReady(socket);
        }, courtesyMs);
      });
      socket.on("message", (data: Buffer, isBinary) => {
        this.#lastMessageAt = performance.now();
        // The server registers a socket and then greets it: the greeting is the proof of registration.
        this.#becomeReady(socket);
        if (isBinary) this.#options.onBinary(data);
        else this.#options.onText(data);
      });
      socket.on("error", (error) => {
        reason ??= toComfyUIError(error, "WebSocket");
      });
      socket.on("close", () => {
        clearInterval(pinging);
        clearTimeout(greeting);
        const wasReady = this.#isReady;
        this.#isReady = false;
        this.#socket = undefined;
        reason ??= new ComfyUIError("connection_lost", "WebSocket: the connection was closed.");
        if (wasReady) this.#options.onClose(reason);
        resolve(reason);
      });
    });
  }

  /** Redirects are not followed, so that credentials never reach another server. */
  #open(): WebSocket {
    const { url, headers, lookup, messageBytesMax } = this.#options;
    return new WebSocket(url, {
      headers: headers(),
      ...(lookup !== undefined && { lookup }),
      maxPayload: messageBytesMax,
      handshakeTimeout: handshakeTimeoutMs,
      perMessageDeflate: false,
    });
  }

  #becomeReady(socket: WebSocket): void {
    if (this.#isReady || socket.readyState !== WebSocket.OPEN) return;
    this.#isReady = true;
    this.#lastMessageAt = performance.now();
    for (const waiter of this.#waiters) waiter.resolve();
    this.#waiters.clear();
    this.#options.onOpen();
  }

  #rejectWaiters(error: ComfyUIError): void {
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  /** Pings the server, because a server that vanished without closing the connection is noticed only in this way. */
  #keepPinging(socket: WebSocket): NodeJS.Timeout {
    let unanswered = 0;
    const answered = (): void => {
      unanswered = 0;
    };
    socket.on("pong", answered);
    socket.on("message", answered);
    return setInterval(() => {
      if (unanswered >= pingsUnansweredMax) {
        socket.terminate();
        return;
      }
      unanswered += 1;
      socket.ping();
    }, this.#options.pingIntervalMs);
  }

  #shut(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    const impatience = setTimeout(() => {
      socket.terminate();
    }, courtesyMs);
    socket.once("close", () => {
      clearTimeout(impatience);
    });
    if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
    else socket.close(1000);
  }

  /** Exponential backoff with full jitter; a caller that waits for the socket shortens it to the minimum. */
  async #pause(failures: number): Promise<void> {
    if (this.#isClosing) return;
    const { minMs, maxMs } = this.#options.backoff;
    const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30));
    const delayMs = minMs + Math.random() * (ceilingMs - minMs);
    const startedAt = performance.now();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        const restMs = this.#isClosing ? 0 : minMs - (performance.now() - startedAt);
        this.#wake = undefined;
        if (restMs <= 0) resolve();
        else setTimeout(resolve, restMs);
      };
    });
    this.#wake = undefined;
  }
}

function closedError(): ComfyUIError {
  return new ComfyUIError("connector_closed", "The connector is closed.");
}
