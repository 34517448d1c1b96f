import { once } from "node:events";
import { createServer, type IncomingMessage, request as httpRequest, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import { certificate, privateKey } from "./proxy-certificate.ts";

/** A proxy before a ComfyUI server that lets in only those who send the right header. */
export interface GuardedProxy {
  readonly port: number;
  /** The value of the header `Authorization` that it wants; `null` = it wants none. */
  authorization: string | null;
  /** If set, it sends everybody there instead. */
  redirectTo: string | null;
  /** What it let in: `GET /queue`, with the host that was asked for. */
  readonly admitted: { what: string; host: string }[];
  readonly refused: string[];
  close(): Promise<void>;
}

export async function startGuardedProxy(options: {
  target: string;
  authorization?: string;
  tls?: boolean;
  host?: string;
  port?: number;
}): Promise<GuardedProxy> {
  const target = new URL(options.target);
  const to = { host: target.hostname, port: Number(target.port) };
  const sockets = new Set<Socket>();
  const admits = (request: IncomingMessage): boolean => {
    const what = `${request.method} ${request.url?.split("?", 1)[0]}`;
    const isGood = proxy.authorization === null || request.headers.authorization === proxy.authorization;
    if (isGood) proxy.admitted.push({ what, host: request.headers.host ?? "" });
    else proxy.refused.push(what);
    return isGood;
  };
  const server: Server = options.tls
    ? createHttpsServer({ cert: certificate, key: privateKey })
    : createServer();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("request", (request: IncomingMessage, response) => {
    if (proxy.redirectTo !== null) {
      response.writeHead(307, { location: `${proxy.redirectTo}${request.url}` }).end();
      return;
    }
    if (!admits(request)) {
      // As some gateways do, it repeats what it was sent.
      response.writeHead(401, { "content-type": "text/plain" }).end(`not ${request.headers.authorization}`);
      return;
    }
    const { method, url, headers } = request;
    const onward = httpRequest({ ...to, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => undefined);
    if (proxy.redirectTo !== null) {
      socket.end(`HTTP/1.1 307 Temporary Redirect\r\nlocation: ${proxy.redirectTo}${request.url}\r\n\r\n`);
      return;
    }
    if (!admits(request)) {
      socket.end("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    const onward = connect(to.port, to.host);
    sockets.add(onward);
    onward.on("error", () => socket.destroy());
    onward.on("close", () => sockets.delete(onward));
    const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    onward.write(`GET ${request.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
    onward.write(head);
    socket.pipe(onward).pipe(socket);
  });
  server.listen(options.port ?? 0, options.host ?? "127.0.0.1");
  await once(server, "listening");
  const proxy: GuardedProxy = {
    port: (server.address() as AddressInfo).port,
    authorization: options.authorization ?? null,
    redirectTo: null,
    ...{ admitted: [], refused: [] },
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return proxy;
}
