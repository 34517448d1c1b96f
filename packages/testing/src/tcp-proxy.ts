import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A network between a client and a server that can fail in the ways in which networks do. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** The target's URL with this proxy's address. Only for targets that are given as a URL. */
  readonly url: string;
  /** How many connections were accepted so far. */
  connectionCount(): number;
  /** Resets every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Accepts connections again, on the same port. */
  restore(): Promise<void>;
  /** Half-open: connections stay and new ones are accepted, but no byte is passed on in either direction. */
  freeze(): void;
  /** Passes on the bytes that were held back, in order. */
  thaw(): void;
  /** From now on every byte arrives this much later; 0 ends the delay. */
  delay(ms: number): void;
  /**
   * Calls the listener with all bytes before they are passed on; it may hold or reset the connection. The returned
   * function ends that.
   */
  observe(listener: (passage: Passage) => void): () => void;
  close(): Promise<void>;
}

/** Bytes on their way; they are passed on after all listeners have returned. */
export interface Passage {
  readonly direction: "to-target" | "to-client";
  readonly data: Buffer;
  readonly connection: ProxiedConnection;
}

export interface ProxiedConnection {
  readonly id: number;
  /** From now on nothing is passed on, in either direction. */
  hold(): void;
  /** Ends a hold: the bytes that were held back are passed on, in order, if both ends are still open. */
  release(): void;
  /** Resets both ends; the bytes that were held back are lost. */
  reset(): void;
}

/**
 * Listens on a free port in front of `targetUrl` (which must contain a port) or of `host` and `port`.
 * @param listenAddress of this machine
 */
export async function startTcpProxy(
  target: { targetUrl: string } | { host: string; port: number },
  listenAddress = "127.0.0.1",
): Promise<TcpProxy> {
  const url = new URL("targetUrl" in target ? target.targetUrl : `tcp://${target.host}:${target.port}`);
  if (url.port === "") throw new Error(`The URL ${url.href} names no port to lead to.`);
  const [targetPort, targetHost] = [Number(url.port), url.hostname];
  const pairs = new Set<SocketPair>();
  const observers = new Set<(passage: Passage) => void>();
  let isFrozen = false;
  let delayMs = 0;
  let connections = 0;
  const accept = (client: Socket): void => {
    connections += 1;
    const pair = new SocketPair(connections, client, connect(targetPort, targetHost), {
      look: (passage) => {
        for (const observer of observers) observer(passage);
      },
      delayMs: () => delayMs,
    });
    pairs.add(pair);
    pair.onClose(() => pairs.delete(pair));
    if (isFrozen) pair.hold();
  };
  let server: Server | null = await listen(accept, 0, listenAddress);
  const { port } = server.address() as AddressInfo;

  const cut = async (): Promise<void> => {
    const listening = server;
    server = null;
    const closed = listening === null ? null : once(listening, "close");
    listening?.close();
    for (const pair of pairs) pair.reset();
    await closed;
  };
  url.hostname = listenAddress;
  url.port = String(port);
  return {
    host: listenAddress,
    port,
    url: url.href,
    connectionCount: () => connections,
    cut,
    restore: async () => {
      server ??= await listen(accept, port, listenAddress);
    },
    freeze: () => {
      isFrozen = true;
      for (const pair of pairs) pair.hold();
    },
    thaw: () => {
      isFrozen = false;
      for (const pair of pairs) pair.release();
    },
    delay: (ms) => {
      delayMs = ms;
    },
    observe: (listener) => {
      observers.add(listener);
      return () => observers.delete(listener);
    },
    close: cut,
  };
}

interface Traffic {
  readonly look: (passage: Passage) => void;
  readonly delayMs: () => number;
}

/** Two sockets, each of which gets the bytes of the other. */
class SocketPair implements ProxiedConnection {
  readonly id: number;
  readonly #client: Socket;
  readonly #target: Socket;
  readonly #flows: readonly Flow[];

  constructor(id: number, client: Socket, target: Socket, traffic: Traffic) {
    this.id = id;
    this.#client = client;
    this.#target = target;
    const look = (direction: Passage["direction"]) => (data: Buffer) => {
      traffic.look({ direction, data, connection: this });
    };
    this.#flows = [
      new Flow(client, target, look("to-target"), traffic.delayMs),
      new Flow(target, client, look("to-client"), traffic.delayMs),
    ];
    // Errors are ignored: either side only sees that the connection of the other has ended.
    for (const socket of [client, target]) {
      socket.on("error", () => {
        this.reset();
      });
    }
  }

  hold(): void {
    for (const flow of this.#flows) flow.hold();
  }

  release(): void {
    for (const flow of this.#flows) flow.release();
    if (this.#client.destroyed || this.#target.destroyed) this.reset();
  }

  reset(): void {
    breakOff(this.#client);
    breakOff(this.#target);
  }

  /** Called once both ends are closed. While one is held back, the other must still be closed. */
  onClose(listener: () => void): void {
    const closed = (): void => {
      if (this.#client.closed && this.#target.closed) listener();
    };
    this.#client.on("close", closed);
    this.#target.on("close", closed);
  }
}

/** Resets the socket where possible: while an end is being sent, Node 20 would keep the socket's handle for ever. */
function breakOff(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** One direction: bytes are passed on in order, unless they are held back. */
class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #waiting: { data: Buffer; dueAt: number }[] = [];
  #isHeld = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(from: Socket, to: Socket, look: (data: Buffer) => void, delayMs: () => number) {
    this.#from = from;
    this.#to = to;
    from.on("data", (data: Buffer) => {
      look(data);
      this.#waiting.push({ data, dueAt: performance.now() + delayMs() });
      this.#pass();
    });
    to.on("drain", () => {
      if (!this.#isHeld) from.resume();
    });
    for (const event of ["end", "close"]) {
      from.on(event, () => {
        this.#pass();
      });
    }
    to.on("close", () => {
      if (this.#timer !== null) clearTimeout(this.#timer);
    });
  }

  hold(): void {
    this.#isHeld = true;
    this.#from.pause();
  }

  release(): void {
    this.#isHeld = false;
    this.#from.resume();
    this.#pass();
  }

  #pass(): void {
    if (this.#to.destroyed) return;
    for (let [next] = this.#waiting; next !== undefined && !this.#isHeld; [next] = this.#waiting) {
      const leftMs = next.dueAt - performance.now();
      if (leftMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = null;
          this.#pass();
        }, leftMs);
        return;
      }
      this.#waiting.shift();
      if (!this.#to.write(next.data)) this.#from.pause();
    }
    if (this.#isHeld || this.#waiting.length > 0) return;
    if (this.#from.destroyed) this.#to.destroy();
    else if (this.#from.readableEnded) this.#to.end();
  }
}

async function listen(accept: (client: Socket) => void, port: number, address: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: false }, accept);
  server.listen(port, address);
  await once(server, "listening");
  return server;
}
