import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { type Duplex } from "node:stream";
import { buffer, text } from "node:stream/consumers";

/** A reply as it goes to the client. */
interface OddReply {
  status: number;
  body: string;
}

/** Something in front of a ComfyUI that answers some requests in its own way. Sockets lead straight through. */
export interface OddComfyUI {
  readonly url: string;
  /** Is shown each request before it is passed on; an answer replaces the server's. */
  refuse: ((method: string, path: string) => OddReply | undefined) | null;
  /** Is awaited before a request is passed on. `break`: the connection breaks, and the server never gets the request. */
  hold: ((method: string, path: string) => Promise<"break" | "pass">) | null;
  /** Is awaited before an answer is passed on. `break`: the connection breaks, and the answer is lost. */
  holdReply: ((method: string, path: string) => Promise<"break" | "pass">) | null;
  /** May change what the server answered. */
  alter: ((path: string, body: string) => string) | null;
  /** What the server says on its sockets is lost. */
  isMute: boolean;
  /** Sends a message of its own to everybody who listens. */
  say(message: object): void;
  close(): Promise<void>;
}

export async function startOddComfyUI(targetUrl: string): Promise<OddComfyUI> {
  const target = new URL(targetUrl);
  const server = createServer();
  const sockets = new Set<{ destroy(): void }>();
  const clients = new Set<Duplex>();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const odd: OddComfyUI = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refuse: null,
    hold: null,
    holdReply: null,
    alter: null,
    isMute: false,
    say: (message) => {
      for (const client of clients) client.write(textFrame(JSON.stringify(message)));
    },
    close: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  server.on("request", (received, response) => {
    const [method, path] = [received.method ?? "", received.url ?? ""];
    const { hold } = odd;
    if (hold === null) passOn(received, response, received);
    else
      // The body is read before, so that the request can be passed on when its sender has given up.
      void buffer(received).then(async (body) => {
        if ((await hold(method, path)) === "break") response.destroy();
        else passOn(received, response, body);
      });
  });
  const passOn = (
    received: IncomingMessage,
    response: ServerResponse,
    body: IncomingMessage | Buffer,
  ): void => {
    const [method, path] = [received.method ?? "", received.url ?? ""];
    const own = odd.refuse?.(method, path);
    if (own !== undefined) {
      received.resume();
      response.writeHead(own.status, { "content-type": "application/json" }).end(own.body);
      return;
    }
    const passedOn = request(new URL(path, target), { method, headers: received.headers });
    passedOn.on("error", () => response.destroy());
    passedOn.on("response", (reply: IncomingMessage) => {
      void (odd.holdReply?.(method, path) ?? Promise.resolve("pass")).then((what) => {
        if (what === "break") response.destroy();
        else answer(path, reply, response);
      });
    });
    if (Buffer.isBuffer(body)) passedOn.end(body);
    else body.pipe(passedOn);
  };
  const answer = (path: string, reply: IncomingMessage, response: ServerResponse): void => {
    const { alter } = odd;
    if (alter === null || reply.headers["content-type"]?.includes("json") !== true) {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
      return;
    }
    void text(reply).then((body) =>
      response
        .writeHead(reply.statusCode ?? 502, { "content-type": "application/json" })
        .end(alter(path, body)),
    );
  };
  server.on("upgrade", (received, socket, head) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const end of [socket, upstream]) {
      sockets.add(end);
      end.on("error", () => undefined);
      end.on("close", () => {
        sockets.delete(end);
        socket.destroy();
        upstream.destroy();
      });
    }
    const headers = received.rawHeaders.flatMap((name, index, all) =>
      index % 2 === 0 ? [`${name}: ${all[index + 1] ?? ""}`] : [],
    );
    upstream.write(`GET ${received.url ?? ""} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    socket.pipe(upstream);
    upstream.on("data", (chunk: Buffer) => {
      if (!odd.isMute) socket.write(chunk);
    });
  });
  return odd;
}

/** A whole, unmasked WebSocket message of up to 64 kB (RFC 6455, section 5.2). */
function textFrame(message: string): Buffer {
  const bytes = Buffer.from(message);
  const head = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  return Buffer.concat([Buffer.from([0x81, ...head]), bytes]);
}
