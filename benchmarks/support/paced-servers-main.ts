/**
 * Many ComfyUI servers in one process that render nothing: each keeps a queue and a history, and sends the messages of a
 * prompt, in the server's own layout, at a set rate. Their cost is the cost of this process, which benchmarks state apart.
 *
 * Each node reports its begin and its end; the last but one then reports steps. The number of a step is the millisecond
 * in which it was sent, counted from `--epoch`, so that a watcher can tell how old it is; with `--bar steps` it counts them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { objectInfo, objectInfoNames } from "@genga/comfyui-recordings";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { count } from "./run-benchmark.ts";

const { values } = parseArgs({
  options: {
    servers: { type: "string", default: "1" },
    "ticks-per-second": { type: "string", default: "10" },
    "steps-max": { type: "string", default: "20" },
    "object-info-bytes": { type: "string", default: "0" },
    epoch: { type: "string", default: "0" },
    bar: { type: "string", default: "age" },
  },
});
const serversCount = count.parse(values.servers);
/** Each tick sends a `progress_state` and what follows it: two messages. */
const tickMs = 1_000 / count.parse(values["ticks-per-second"]);
/** 0 = without an end. */
const stepsMax = count.parse(values["steps-max"]);
const epoch = count.parse(values.epoch);
/** What a step's number says: when it was sent, or how far the prompt is. */
const bar = z.enum(["age", "steps"]).parse(values.bar);

/** More than a run of the benchmark has milliseconds. */
const stepsOfBar = 10_000_000;
const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
const definitions = definitionsOf(count.parse(values["object-info-bytes"]));

/** What real servers answered, and copies of it under other names until there are this many bytes. */
function definitionsOf(bytes: number): Buffer {
  const recorded = Object.assign(
    {},
    ...objectInfoNames("0.28").map((name): unknown => JSON.parse(objectInfo("0.28", name))),
  ) as Record<string, unknown>;
  const copies = Object.entries(recorded);
  const all: Record<string, unknown> = { ...recorded };
  let size = JSON.stringify(all).length;
  for (let copy = 1; size < bytes; copy += 1) {
    for (const [name, definition] of copies) {
      if (size >= bytes) break;
      all[`${name}Copy${copy}`] = definition;
      size += JSON.stringify(definition).length + name.length;
    }
  }
  return Buffer.from(JSON.stringify(all));
}

const promptSchema = z.object({
  prompt_id: z.string(),
  client_id: z.string(),
  prompt: z.record(z.string(), z.unknown()),
});
type Prompt = z.infer<typeof promptSchema>;
const deleteSchema = z.object({ delete: z.array(z.string()) });

class PacedServer {
  readonly #sockets = new Map<string, WebSocket>();
  readonly #pending: Prompt[] = [];
  readonly #history = new Map<string, unknown>();
  #running: Prompt | null = null;
  #posts = 0;
  /** Since the start. */
  #ticks = 0;

  connect(socket: WebSocket, clientId: string): void {
    this.#sockets.set(clientId, socket);
    socket.on("close", () => {
      if (this.#sockets.get(clientId) === socket) this.#sockets.delete(clientId);
    });
    socket.once("message", () => {
      socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
    });
    socket.send(JSON.stringify({ type: "status", data: { status: this.#status(), sid: clientId } }));
  }

  async answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const route = `${request.method ?? ""} ${path}`;
    const body = request.method === "POST" ? await text(request) : "";
    if (route === "GET /object_info") response.end(definitions);
    else if (route === "POST /prompt") send(response, this.#post(promptSchema.parse(JSON.parse(body))));
    else if (route === "GET /queue") send(response, this.#queue());
    else if (route.startsWith("GET /history/")) send(response, this.#historyOf(path.slice(9)));
    else if (route === "POST /history") {
      for (const id of deleteSchema.parse(JSON.parse(body)).delete) this.#history.delete(id);
      response.end();
    } else if (route === "GET /ticks") send(response, this.#ticks);
    else if (route === "GET /system_stats") {
      send(response, { system: { comfyui_version: "0.28.0" }, devices: [] });
    } else if (route === "GET /features") send(response, { supports_preview_metadata: true });
    else if (path.startsWith("/view")) response.setHeader("content-type", "image/png").end(png);
    else response.writeHead(request.method === "POST" ? 405 : 404).end();
  }

  #post(prompt: Prompt): unknown {
    this.#pending.push(prompt);
    this.#posts += 1;
    if (this.#running === null) this.#runNext();
    return { prompt_id: prompt.prompt_id, number: this.#posts, node_errors: {} };
  }

  #runNext(): void {
    const prompt = this.#pending.shift();
    this.#running = prompt ?? null;
    if (prompt === undefined) return;
    const run = new PromptRun(prompt, (message) => this.#sockets.get(prompt.client_id)?.send(message));
    const timer = setInterval(() => {
      this.#ticks += 1;
      if (run.tick() && this.#sockets.has(prompt.client_id)) return;
      clearInterval(timer);
      const status = { status_str: "success", completed: true, messages: [] };
      const saved = { images: [{ filename: "null_00001_.png", subfolder: "", type: "output" }] };
      this.#history.set(prompt.prompt_id, {
        prompt: [1, prompt.prompt_id, prompt.prompt, {}, []],
        outputs: { [run.lastNode]: saved },
        status,
      });
      run.end();
      this.#runNext();
    }, tickMs);
  }

  #queue(): unknown {
    const entry = ({ prompt_id: id, prompt }: Prompt): unknown[] => [1, id, prompt, {}, []];
    return {
      queue_running: this.#running === null ? [] : [entry(this.#running)],
      queue_pending: this.#pending.map(entry),
    };
  }

  #historyOf(promptId: string): unknown {
    const entry = this.#history.get(promptId);
    return entry === undefined ? {} : { [promptId]: entry };
  }

  #status(): unknown {
    return { exec_info: { queue_remaining: this.#pending.length + (this.#running === null ? 0 : 1) } };
  }
}

/** The messages of one prompt. Written as text: JSON of Python, with a space after each colon and comma. */
class PromptRun {
  readonly #promptId: string;
  readonly #nodes: string[];
  readonly #send: (message: string) => void;
  /** The entries of the nodes that have ended. */
  #ended = "";
  #at = 0;
  #isRunning = false;
  #steps = 0;

  constructor(prompt: Prompt, sendMessage: (message: string) => void) {
    this.#promptId = prompt.prompt_id;
    this.#nodes = Object.keys(prompt.prompt);
    this.#send = sendMessage;
    this.#send(`{"type": "execution_start", "data": {"prompt_id": "${this.#promptId}", "timestamp": 1}}`);
    this.#send(`{"type": "execution_cached", "data": {"nodes": [], "prompt_id": "${this.#promptId}"}}`);
  }

  get lastNode(): string {
    return this.#nodes.at(-1) ?? "";
  }

  /** One `progress_state` and what follows it. @returns whether there is more to come */
  tick(): boolean {
    const node = this.#nodes[this.#at];
    if (node === undefined) return false;
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#state(this.#entry(node, 0, 1));
      this.#send(
        `{"type": "executing", "data": {"node": "${node}", "display_node": "${node}", "prompt_id": "${this.#promptId}"}}`,
      );
    } else if (this.#at === this.#nodes.length - 2 && (stepsMax === 0 || this.#steps < stepsMax)) {
      this.#steps += 1;
      const ageMs = Math.max(1, Math.round(performance.timeOrigin + performance.now() - epoch));
      const [step, steps] = bar === "age" ? [ageMs, stepsOfBar] : [this.#steps, stepsMax];
      this.#state(this.#entry(node, step, steps));
      this.#send(
        `{"type": "progress", "data": {"value": ${step}, "max": ${steps}, "prompt_id": "${this.#promptId}", "node": "${node}"}}`,
      );
    } else {
      this.#isRunning = false;
      this.#at += 1;
      this.#ended += `${this.#ended === "" ? "" : ", "}${this.#entry(node, 1, 1)}`;
      this.#state("");
    }
    return true;
  }

  end(): void {
    const id = this.#promptId;
    this.#send(`{"type": "execution_success", "data": {"prompt_id": "${id}", "timestamp": 1}}`);
    this.#send(`{"type": "executing", "data": {"node": null, "prompt_id": "${id}"}}`);
  }

  #state(running: string): void {
    const nodes = [this.#ended, running].filter((entries) => entries !== "").join(", ");
    this.#send(`{"type": "progress_state", "data": {"prompt_id": "${this.#promptId}", "nodes": {${nodes}}}}`);
  }

  #entry(node: string, value: number, max: number): string {
    const state = value < max ? "running" : "finished";
    return (
      `"${node}": {"value": ${value}.0, "max": ${max}.0, "state": "${state}", "node_id": "${node}", ` +
      `"prompt_id": "${this.#promptId}", "display_node_id": "${node}", "parent_node_id": null, "real_node_id": "${node}"}`
    );
  }
}

function send(response: ServerResponse, answer: unknown): void {
  response.setHeader("content-type", "application/json; charset=utf-8").end(JSON.stringify(answer));
}

/** @returns its port */
async function listen(server: PacedServer): Promise<number> {
  const http = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://null");
    server.answer(request, response, pathname).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  http.keepAliveTimeout = 75_000;
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  http.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (opened) => {
      const { searchParams } = new URL(request.url ?? "/", "http://null");
      server.connect(opened, searchParams.get("clientId") ?? "");
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return z.custom<AddressInfo>().parse(http.address()).port;
}

const ports = await Promise.all(Array.from({ length: serversCount }, () => listen(new PacedServer())));
process.once("SIGTERM", () => process.exit(0));
process.send?.({ type: "ready", details: { ports: ports.join(), objectInfoBytes: definitions.length } });
