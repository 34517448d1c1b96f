import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A proxy before a server, in this process. */
export interface NotingProxy {
  readonly url: string;
  /** Resolves with the moment, in ms of this process's clock, when the next request that begins so arrives. */
  next(requestLine: string): Promise<number>;
  close(): Promise<void>;
}

/** Passes everything on, and notes when requests arrive. Clients must not send a request before the last one was answered. */
export async function startNotingProxy(serverUrl: string): Promise<NotingProxy> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const waiting = new Set<{ begin: string; resolve: (at: number) => void }>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  };
  const note = (chunk: Buffer): void => {
    if (waiting.size === 0) return;
    const at = performance.now();
    const begin = chunk.toString("latin1", 0, 100);
    for (const each of waiting) {
      if (!begin.startsWith(each.begin)) continue;
      waiting.delete(each);
      each.resolve(at);
    }
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    keep(client);
    keep(upstream);
    client.on("data", note);
    client.pipe(upstream).pipe(client);
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    next: (begin) => new Promise((resolve) => waiting.add({ begin, resolve })),
    close: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
