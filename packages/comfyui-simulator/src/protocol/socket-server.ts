import { randomUUID } from "node:crypto";
import { type IncomingMessage } from "node:http";
import { type Duplex } from "node:stream";
import { WebSocketServer, type RawData, type WebSocket } from "ws";
import { type Clock } from "../execution/clock.ts";
import { type ExecutorView } from "../execution/executor.ts";
import { parsePythonJson, type PythonJson } from "../python/python-json.ts";
import { isDict, PythonError } from "../python/python-values.ts";
import { type ClientSockets } from "../messages/client-sockets.ts";

/** Larger messages from a client close its socket with 1009. */
const messageBytesMax = 4 * 1024 * 1024;

/** Smaller messages are not compressed, even for clients that offer compression. */
const compressionBytesMin = 32 * 1024;

interface SocketServerTools {
  readonly sockets: ClientSockets;
  readonly clock: Clock;
  readonly features: PythonJson;
  readonly queueRemaining: () => number;
  readonly executorView: () => ExecutorView;
}

/**
 * `/ws` (PROTOCOL 3): greets a client, tells a reconnecting client which node runs, and listens for `feature_flags`.
 */
export class SocketServer {
  readonly #server = new WebSocketServer({
    noServer: true,
    autoPong: false,
    maxPayload: messageBytesMax,
    perMessageDeflate: { threshold: compressionBytesMin },
  });
  readonly #tools: SocketServerTools;

  constructor(tools: SocketServerTools) {
    this.#tools = tools;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#welcome(webSocket, new URL(`http://simulator${request.url ?? "/"}`).searchParams.get("clientId"));
    });
  }

  /** Cuts every connection without a close frame, as a killed process does. */
  terminate(): void {
    for (const socket of this.#server.clients) socket.terminate();
  }

  #welcome(socket: WebSocket, askedId: string | null): void {
    const { sockets, executorView, queueRemaining } = this.#tools;
    const clientId = askedId === null || askedId === "" ? randomUUID().replaceAll("-", "") : askedId;
    sockets.register(clientId, socket);
    socket.on("error", () => {
      // A failing socket is also closed, and the close is handled.
    });
    socket.on("close", () => {
      sockets.unregister(clientId);
    });
    socket.on("ping", (data: Buffer) => {
      void this.#tools.clock.thawed().then(() => {
        if (!sockets.isMuted(socket) && socket.readyState === socket.OPEN) socket.pong(data);
      });
    });
    this.#listen(socket, clientId);
    sockets.sendNow(
      "status",
      { status: { exec_info: { queue_remaining: queueRemaining() } }, sid: clientId },
      clientId,
    );
    const { clientId: runningFor, lastNodeId } = executorView();
    if (runningFor === clientId && lastNodeId !== undefined) {
      sockets.sendNow("executing", { node: lastNodeId }, clientId);
    }
  }

  /** Only the first message that is a JSON object counts, and only if it carries feature flags. */
  #listen(socket: WebSocket, clientId: string): void {
    let isFirst = true;
    socket.on("message", (raw: RawData, isBinary: boolean) => {
      if (isBinary || !isFirst) return;
      const message = parsed(textOf(raw));
      if (!isDict(message ?? null)) return;
      isFirst = false;
      if (!isDict(message) || message.get("type") !== "feature_flags") return;
      void this.#tools.clock.thawed().then(() => {
        this.#tools.sockets.setFlags(clientId, message.get("data") ?? new Map());
        this.#tools.sockets.sendNow("feature_flags", this.#tools.features, clientId);
      });
    });
  }
}

function textOf(raw: RawData): string {
  if (Buffer.isBuffer(raw)) return raw.toString("utf8");
  return Array.isArray(raw) ? Buffer.concat(raw).toString("utf8") : Buffer.from(raw).toString("utf8");
}

function parsed(text: string): ReturnType<typeof parsePythonJson> | undefined {
  try {
    return parsePythonJson(text);
  } catch (error) {
    if (error instanceof PythonError) return undefined;
    throw error;
  }
}
