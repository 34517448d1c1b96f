import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A network between a client and a server that can fail in the ways that networks do. */
export interface TcpProxy {
  readonly host: string;
  readonly port: number;
  /** The target's URL, leading through this proxy. Only for targets given as a URL. */
  readonly url: string;
  /** Connections that were accepted so far. */
  connectionCount(): number;
  /** Resets every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Accepts again, at the same port. */
  restore(): Promise<void>;
  /** Half-open: connections stay, new ones are accepted, and not one byte is passed on in either direction. */
  freeze(): void;
  /** Passes on what was held back, in order. */
  thaw(): void;
  close(): Promise<void>;
}

/** Listens on a free loopback port in front of `targetUrl` (whose port must be given) or of `host` and `port`. */
export async function startTcpProxy(
  target: { targetUrl: string } | { host: string; port: number },
): Promise<TcpProxy> {
  const url = new URL("targetUrl" in target ? target.targetUrl : `tcp://${target.host}:${target.port}`);
  if (url.port === "") throw new Error(`The URL ${url.href} names no port to lead to.`);
  const [targetPort, targetHost] = [Number(url.port), url.hostname];
  const pairs = new Set<SocketPair>();
  let isFrozen = false;
  let connections = 0;
  const accept = (client: Socket): void => {
    connections += 1;
    const pair = joinSockets(client, connect(targetPort, targetHost));
    pairs.add(pair);
    pair.onClose(() => pairs.delete(pair));
    if (isFrozen) pair.pause();
  };
  let server: Server | null = await listen(accept, 0);
  const { port } = server.address() as AddressInfo;

  const cut = async (): Promise<void> => {
    const listening = server;
    server = null;
    const closed = listening === null ? null : once(listening, "close");
    listening?.close();
    for (const pair of pairs) pair.reset();
    await closed;
  };
  url.hostname = "127.0.0.1";
  url.port = String(port);
  return {
    host: "127.0.0.1",
    port,
    url: url.href,
    connectionCount: () => connections,
    cut,
    restore: async () => {
      server ??= await listen(accept, port);
    },
    freeze: () => {
      isFrozen = true;
      for (const pair of pairs) pair.pause();
    },
    thaw: () => {
      isFrozen = false;
      for (const pair of pairs) pair.resume();
    },
    close: cut,
  };
}

interface SocketPair {
  pause(): void;
  resume(): void;
  reset(): void;
  onClose(listener: () => void): void;
}

/** Two sockets whose bytes flow into each other, one by one held back while paused. */
function joinSockets(client: Socket, target: Socket): SocketPair {
  const directions: [Socket, Socket][] = [
    [client, target],
    [target, client],
  ];
  let isPaused = false;
  const reset = (): void => {
    client.resetAndDestroy();
    target.resetAndDestroy();
  };
  for (const [from, to] of directions) {
    from.on("data", (chunk) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (!isPaused) from.resume();
    });
    from.on("end", () => to.end());
    // A network has no opinion about errors: either side sees the other's connection end.
    from.on("error", reset);
    from.on("close", () => {
      if (!isPaused) to.destroy();
    });
  }
  return {
    pause: () => {
      isPaused = true;
      client.pause();
      target.pause();
    },
    resume: () => {
      isPaused = false;
      client.resume();
      target.resume();
      if (client.destroyed || target.destroyed) reset();
    },
    reset,
    onClose: (listener) => {
      client.on("close", listener);
      target.on("close", listener);
    },
  };
}

async function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: false }, accept);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}
