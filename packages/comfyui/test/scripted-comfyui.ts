import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";

import { WebSocketServer, type WebSocket } from "ws";

export interface ReceivedRequest {
  method: string;
  path: string;
  body: string;
}

interface ScriptedPrompt {
  promptId: string;
  number: number;
  clientId: string | undefined;
  graph: unknown;
}

/**
 * What happens to a request instead of, or after, its normal handling. `handle` does the normal thing to the server's
 * state and returns the reply.
 */
export type Intercept = (
  request: ReceivedRequest,
  response: ServerResponse,
  handle: () => Reply,
) => Promise<boolean> | boolean;

interface Reply {
  status: number;
  json?: unknown;
  text?: string;
}

/**
 * A ComfyUI by hand: real sockets, a real queue and history, and nothing runs until the test says so. It keeps the
 * server's two bad habits that matter here: messages go only to the socket registered at that moment, and the end of
 * any socket unregisters its client id, whoever holds it by then (PROTOCOL 0.4).
 */
export class ScriptedComfyUI {
  readonly requests: ReceivedRequest[] = [];
  /** Client ids in the order of their connections, and how many sockets of one id were ever open at once. */
  readonly connections: string[] = [];
  socketsOfOneClientMax = 0;
  intercept: Intercept | undefined;
  /** Called for each new socket; false = do not greet, do not register. */
  onSocket: ((socket: WebSocket, clientId: string) => boolean) | undefined;
  readonly firstMessages: string[] = [];
  postReply: ((body: Record<string, unknown>) => Reply | undefined) | undefined;
  hasCancelRoute = false;
  #http: Server;
  #ws: WebSocketServer;
  #registered = new Map<string, WebSocket>();
  #open = new Map<string, Set<WebSocket>>();
  #pending: ScriptedPrompt[] = [];
  #running: ScriptedPrompt | undefined;
  #history = new Map<string, unknown>();
  #counter = 0;
  #frozen: Promise<void> | undefined;
  #thaw: (() => void) | undefined;
  #waiters: { matches: () => boolean; resolve: () => void }[] = [];
  #port = 0;

  private constructor() {
    this.#http = createServer();
    this.#ws = new WebSocketServer({ noServer: true });
    this.#wire();
  }

  static async start(): Promise<ScriptedComfyUI> {
    const server = new ScriptedComfyUI();
    await server.listen();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    this.#http.listen(this.#port, "127.0.0.1");
    await once(this.#http, "listening");
    this.#port = (this.#http.address() as AddressInfo).port;
  }

  /** As `kill -9`: sockets drop, queue and history are gone, the port is closed. `listen()` starts it again. */
  async kill(): Promise<void> {
    this.#pending = [];
    this.#running = undefined;
    this.#history.clear();
    this.#counter = 0;
    this.unfreeze();
    for (const socket of this.#ws.clients) socket.terminate();
    this.#http.closeAllConnections();
    if (this.#http.listening) {
      this.#http.close();
      await once(this.#http, "close");
    }
    this.#http = createServer();
    this.#wire();
  }

  /** Accepts connections and requests and answers nothing, like a stopped process. */
  freeze(): void {
    this.#frozen ??= new Promise((resolve) => {
      this.#thaw = resolve;
    });
  }

  unfreeze(): void {
    this.#thaw?.();
    this.#frozen = undefined;
  }

  /** Resolves as soon as the condition holds; looked at after every request, connection and disconnection. */
  async until(matches: () => boolean): Promise<void> {
    if (matches()) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ matches, resolve });
    });
  }

  count(method: string, path: string): number {
    return this.requests.filter((one) => one.method === method && one.path.startsWith(path)).length;
  }

  isRegistered(clientId: string): boolean {
    return this.#registered.has(clientId);
  }

  /** Queues a prompt as some other client would. */
  enqueue(promptId: string, clientId: string, graph: unknown = {}): void {
    this.#pending.push({ promptId, number: this.#counter, clientId, graph });
    this.#counter += 1;
    this.#broadcastStatus();
  }

  /** The first waiting prompt starts. */
  begin(): string {
    const prompt = this.#pending.shift();
    if (prompt === undefined) throw new Error("nothing waits");
    this.#running = prompt;
    this.#broadcastStatus();
    const { promptId } = prompt;
    this.say("execution_start", { prompt_id: promptId, timestamp: Date.now() });
    this.say("execution_cached", { nodes: [], prompt_id: promptId, timestamp: Date.now() });
    return promptId;
  }

  executing(node: string): void {
    this.say("executing", { node, display_node: node, prompt_id: this.#running?.promptId });
  }

  progress(node: string, value: number, max: number): void {
    this.say("progress", { value, max, node, prompt_id: this.#running?.promptId });
  }

  /** The running prompt ends; the last message can be withheld. */
  end(
    how: "success" | "error" | "interrupted" = "success",
    options: {
      outputs?: unknown;
      isSilent?: boolean;
      withoutLast?: boolean;
      exception?: [string, string];
    } = {},
  ): void {
    const prompt = this.#running;
    if (prompt === undefined) throw new Error("nothing runs");
    const { promptId } = prompt;
    const [type, message] = options.exception ?? ["ValueError", "boom\n"];
    const data = {
      prompt_id: promptId,
      timestamp: Date.now(),
      ...(how !== "success" && { node_id: "2", node_type: "Work", executed: ["1"] }),
      ...(how === "error" && {
        exception_type: type,
        exception_message: message,
        traceback: [],
        current_inputs: {},
        current_outputs: [],
      }),
    };
    this.#history.set(promptId, {
      prompt: [prompt.number, promptId, prompt.graph, {}, []],
      outputs: options.outputs ?? {},
      status: {
        status_str: how === "success" ? "success" : "error",
        completed: how === "success",
        messages: [
          ["execution_start", { prompt_id: promptId }],
          [`execution_${how}`, data],
        ],
      },
      meta: {},
    });
    if (options.isSilent !== true) this.say(`execution_${how}`, data);
    this.#running = undefined;
    if (options.isSilent === true) return;
    this.#broadcastStatus();
    if (options.withoutLast !== true)
      this.sayTo(prompt.clientId, "executing", { node: null, prompt_id: promptId });
  }

  /** A message about the running prompt, to its owner. */
  say(type: string, data: unknown): void {
    this.sayTo(this.#running?.clientId, type, data);
  }

  sayTo(clientId: string | undefined, type: string, data: unknown): void {
    this.sendRaw(clientId, JSON.stringify({ type, data }));
  }

  sendRaw(clientId: string | undefined, data: string | Buffer): void {
    this.#registered.get(clientId ?? "")?.send(data);
  }

  /** The connection of a client breaks without a closing handshake. */
  drop(clientId: string): void {
    this.#registered.get(clientId)?.terminate();
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#ws.close();
  }

  #wire(): void {
    this.#http.on("request", (request, response) => {
      void this.#receive(request, response);
    });
    this.#http.on("upgrade", (request, socket, head) => {
      void (async () => {
        await this.#frozen;
        this.#ws.handleUpgrade(request, socket, head, (ws) => {
          this.#connected(ws, new URL(request.url ?? "", "http://x").searchParams.get("clientId") ?? "");
        });
      })();
    });
  }

  #connected(socket: WebSocket, clientId: string): void {
    this.connections.push(clientId);
    const open = this.#open.get(clientId) ?? new Set();
    this.#open.set(clientId, open.add(socket));
    this.socketsOfOneClientMax = Math.max(this.socketsOfOneClientMax, open.size);
    socket.on("close", () => {
      open.delete(socket);
      this.#registered.delete(clientId);
      this.#notify();
    });
    socket.once("message", (data: Buffer) => {
      this.firstMessages.push(data.toString());
      socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
      this.#notify();
    });
    socket.on("error", () => undefined);
    if (this.onSocket?.(socket, clientId) !== false) {
      this.#registered.set(clientId, socket);
      socket.send(JSON.stringify({ type: "status", data: { status: this.#status(), sid: clientId } }));
      if (this.#running?.clientId === clientId)
        socket.send(JSON.stringify({ type: "executing", data: { node: "2" } }));
    }
    this.#notify();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const received = {
      method: request.method ?? "",
      path: request.url ?? "",
      body: Buffer.concat(chunks).toString("latin1"),
    };
    await this.#frozen;
    this.requests.push(received);
    const handle = (): Reply => this.#handle(received);
    const isDone = (await this.intercept?.(received, response, handle)) ?? false;
    if (!isDone) answer(response, handle());
    this.#notify();
  }

  #handle({ method, path, body }: ReceivedRequest): Reply {
    const route = `${method} ${path.split("?")[0] ?? ""}`;
    if (route === "POST /prompt") return this.#post(JSON.parse(body) as Record<string, unknown>);
    if (route === "GET /queue") {
      const entry = (one: ScriptedPrompt): unknown[] => [one.number, one.promptId, one.graph, {}, []];
      return {
        status: 200,
        json: {
          queue_running: this.#running === undefined ? [] : [entry(this.#running)],
          queue_pending: this.#pending.map(entry),
        },
      };
    }
    if (route.startsWith("GET /history/")) {
      const promptId = decodeURIComponent(path.slice("/history/".length));
      const entry = this.#history.get(promptId);
      return { status: 200, json: entry === undefined ? {} : { [promptId]: entry } };
    }
    if (route === "POST /queue") {
      const { delete: ids } = JSON.parse(body) as { delete: string[] };
      this.#pending = this.#pending.filter(({ promptId }) => !ids.includes(promptId));
      this.#broadcastStatus();
      return { status: 200, text: "" };
    }
    if (route === "POST /interrupt") {
      const { prompt_id: promptId } = JSON.parse(body) as { prompt_id?: string };
      if (this.#running !== undefined && (promptId === undefined || promptId === this.#running.promptId))
        this.end("interrupted");
      return { status: 200, text: "" };
    }
    const cancel = /^POST \/api\/jobs\/(.+)\/cancel$/.exec(route);
    if (cancel !== null && this.hasCancelRoute) {
      const promptId = decodeURIComponent(cancel[1] ?? "");
      if (this.#running?.promptId === promptId) this.end("interrupted");
      else this.#pending = this.#pending.filter((one) => one.promptId !== promptId);
      return { status: 200, json: { cancelled: true } };
    }
    return method === "GET"
      ? { status: 404, text: "404: Not Found" }
      : { status: 405, text: "405: Method Not Allowed" };
  }

  #post(body: Record<string, unknown>): Reply {
    const scripted = this.postReply?.(body);
    if (scripted !== undefined && scripted.status !== 200) return scripted;
    const promptId = String(body["prompt_id"]);
    this.enqueue(promptId, String(body["client_id"]), body["prompt"]);
    return (
      scripted ?? { status: 200, json: { prompt_id: promptId, number: this.#counter - 1, node_errors: {} } }
    );
  }

  #status(): unknown {
    return { exec_info: { queue_remaining: this.#pending.length + (this.#running === undefined ? 0 : 1) } };
  }

  #broadcastStatus(): void {
    for (const clientId of this.#registered.keys())
      this.sayTo(clientId, "status", { status: this.#status() });
  }

  #notify(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.matches()) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}

export function answer(response: ServerResponse, reply: Reply): void {
  response.statusCode = reply.status;
  response.setHeader(
    "content-type",
    reply.json === undefined ? "text/plain" : "application/json; charset=utf-8",
  );
  response.end(reply.json === undefined ? reply.text : JSON.stringify(reply.json));
}
