import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { type Duplex } from "node:stream";
import { inTurn } from "./pipelined-requests.ts";
import { answerUnparsedRequests } from "./unparsed-requests.ts";

/** A server that accepts connections. */
export interface ListeningServer {
  url: string;
  port: number;
  /** From now on this one answers the requests. */
  answerWith(listener: RequestListener): void;
  /** Lets open requests finish; connections that are still open after a while are cut. */
  close(): Promise<void>;
}

/** How long a client may take to send a request, its body included. */
const defaultRequestTimeoutMs = 60_000;
/** How often connections are looked at that take too long; more often where they may take less. */
const checkEveryMs = 5_000;
/**
 * How long a quiet connection stays open: longer than load balancers keep theirs (a minute), and long enough that a client that
 * was held up for some seconds does not send its next request into a connection that was just closed.
 */
const keepAliveMs = 75_000;
const lingerMs = 2_000;

export async function listen(
  first: RequestListener,
  {
    requestTimeoutMs = defaultRequestTimeoutMs,
    onUpgrade,
    ...options
  }: {
    host: string;
    port: number;
    requestTimeoutMs?: number;
    /** Takes over connections whose client asks for another protocol; absent = they are answered as requests. */
    onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  },
): Promise<ListeningServer> {
  const timeouts = {
    ...{ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveMs },
    connectionsCheckingInterval: Math.min(checkEveryMs, requestTimeoutMs),
  };
  let listener = first;
  const answer: RequestListener = (request, response) => {
    listener(request, response);
  };
  const server = createServer(timeouts, inTurn(answer));
  answerUnparsedRequests(server);
  if (onUpgrade !== undefined) server.on("upgrade", onUpgrade);
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port, address, family } = server.address() as AddressInfo;
  const host = family === "IPv6" ? `[${address}]` : address;
  return {
    url: `http://${host}:${port}`,
    port,
    answerWith: (next) => {
      listener = next;
    },
    close: () => closeServer(server),
  };
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  // A connection becomes idle only after its last answer has ended, so idle connections are closed repeatedly.
  const sweeping = setInterval(() => {
    server.closeIdleConnections();
  }, 20);
  const timer = setTimeout(() => {
    server.closeAllConnections();
  }, lingerMs);
  await closed;
  clearInterval(sweeping);
  clearTimeout(timer);
}
