/**
 * ComfyUI servers that do nothing: each prompt of two nodes "runs" at once, with the twelve messages that a real server sends
 * for it, and has one PNG of about 1 kB as its output. One process holds them all, so that their cost is the cost of one
 * process, which benchmarks state apart. They check nothing; for that there is the simulator.
 *
 * node packages/runtime/src/launch/launch.mjs benchmarks/support/null-servers-main.ts --servers 64 [--object-info FILE]
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { nullDefinitions } from "./null-graph.ts";

const { values } = parseArgs({
  options: { servers: { type: "string", default: "1" }, "object-info": { type: "string" } },
});
const objectInfo =
  values["object-info"] === undefined
    ? JSON.stringify(nullDefinitions)
    : await readFile(values["object-info"], "utf8");
/** Random pixels, which do not compress: 18 × 18 of them are about 1 kB. */
const side = 18;
const picture = await sharp(randomBytes(side * side * 3), {
  raw: { width: side, height: side, channels: 3 },
})
  .png()
  .toBuffer();
const systemStats = {
  system: {
    os: "posix",
    comfyui_version: "0.28.0",
    python_version: "3.11.0",
    ram_total: 1e10,
    ram_free: 1e10,
  },
  devices: [{ name: "cpu", type: "cpu", index: 0, vram_total: 1e10, vram_free: 1e10 }],
};

const promptSchema = z.object({ prompt_id: z.string(), client_id: z.string() });
const deleteSchema = z.looseObject({ delete: z.array(z.string()).default([]) });

interface Answer {
  status?: number;
  type?: string;
  body?: unknown;
}

/** One server: its sockets by client id, the prompts that wait to run, and its history. */
class NullServer {
  readonly #sockets = new Map<string, WebSocket>();
  readonly #waiting = new Map<string, string>();
  readonly #history = new Map<string, unknown>();
  #number = 0;

  connect(socket: WebSocket, clientId: string): void {
    this.#sockets.set(clientId, socket);
    socket.on("close", () => {
      if (this.#sockets.get(clientId) === socket) this.#sockets.delete(clientId);
    });
    socket.once("message", () => {
      send(socket, "feature_flags", { supports_preview_metadata: true, max_upload_size: 104_857_600 });
    });
    send(socket, "status", { ...this.#status(), sid: clientId });
  }

  async answer(method: string, path: string, request: IncomingMessage): Promise<Answer> {
    if (method === "POST" && path === "/prompt") return this.#take(promptSchema.parse(await json(request)));
    if (method === "POST" && (path === "/history" || path === "/queue")) {
      for (const id of deleteSchema.parse(await json(request)).delete) {
        this.#history.delete(id);
        if (path === "/queue") this.#waiting.delete(id);
      }
      return { body: "" };
    }
    if (method === "POST") return path.endsWith("/cancel") ? { body: { cancelled: false } } : { body: "" };
    if (path.startsWith("/history/")) {
      const id = decodeURIComponent(path.slice("/history/".length));
      return { body: this.#history.has(id) ? { [id]: this.#history.get(id) } : {} };
    }
    switch (path) {
      case "/queue":
        return { body: { queue_running: [], queue_pending: [...this.#waiting].map(([id], n) => [n, id]) } };
      case "/view":
        return { type: "image/png", body: picture };
      case "/object_info":
        return { body: objectInfo };
      case "/system_stats":
        return { body: systemStats };
      case "/features":
        return { body: { supports_preview_metadata: true, max_upload_size: 104_857_600 } };
      default:
        return { status: 404, body: "404: Not Found" };
    }
  }

  #take({ prompt_id: promptId, client_id: clientId }: z.infer<typeof promptSchema>): Answer {
    this.#waiting.set(promptId, clientId);
    // After the answer, as on a real server.
    setImmediate(() => {
      this.#run(promptId, clientId);
    });
    return { body: { prompt_id: promptId, number: this.#number++, node_errors: {} } };
  }

  #run(promptId: string, clientId: string): void {
    if (!this.#waiting.delete(promptId)) return;
    const timestamp = Date.now();
    const images = [{ filename: `${promptId}.png`, subfolder: "", type: "output" }];
    this.#history.set(promptId, {
      prompt: [0, promptId, {}, {}, ["2"]],
      outputs: { "2": { images } },
      status: {
        status_str: "success",
        completed: true,
        messages: [
          ["execution_start", { prompt_id: promptId, timestamp }],
          ["execution_success", { prompt_id: promptId, timestamp }],
        ],
      },
      meta: {},
    });
    const socket = this.#sockets.get(clientId);
    if (socket !== undefined)
      for (const [type, data] of messagesOf(promptId, images)) send(socket, type, data);
  }

  #status(): object {
    return { status: { exec_info: { queue_remaining: this.#waiting.size } } };
  }
}

/** What a real server sends about a prompt of two nodes, of which the second saves a picture (PROTOCOL 3): 12 messages. */
function messagesOf(promptId: string, images: object[]): (readonly [string, object])[] {
  const id = { prompt_id: promptId };
  const node = (name: string, value: number): object => ({
    ...{ value, max: 1, state: value === 1 ? "finished" : "running", node_id: name, ...id },
    ...{ display_node_id: name, parent_node_id: null, real_node_id: name },
  });
  const states = (nodes: object): readonly [string, object] => ["progress_state", { ...id, nodes }];
  const stamped = { ...id, timestamp: Date.now() };
  return [
    ["execution_start", stamped],
    ["execution_cached", { nodes: [], ...stamped }],
    states({ "1": node("1", 0) }),
    ["executing", { node: "1", display_node: "1", ...id }],
    states({ "1": node("1", 1) }),
    states({ "1": node("1", 1), "2": node("2", 0) }),
    ["executing", { node: "2", display_node: "2", ...id }],
    ["executed", { node: "2", display_node: "2", output: { images }, ...id }],
    states({ "1": node("1", 1), "2": node("2", 1) }),
    ["execution_success", stamped],
    ["status", { status: { exec_info: { queue_remaining: 0 } } }],
    ["executing", { node: null, ...id }],
  ];
}

function send(socket: WebSocket, type: string, data: object): void {
  socket.send(JSON.stringify({ type, data }));
}

/** Requests to all servers so far, by method and the first part of the path. */
const requests = new Map<string, number>();

function noteRequest(method: string, path: string): void {
  const name = `${method} /${path.split("/")[1] ?? ""}`;
  requests.set(name, (requests.get(name) ?? 0) + 1);
}

function respond(response: ServerResponse, { status = 200, type, body }: Answer): void {
  const bytes = Buffer.isBuffer(body) || typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, {
    "content-type": type ?? "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(bytes),
  });
  response.end(bytes);
}

/** @returns its URL */
async function listen(server: NullServer): Promise<string> {
  const http = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://null").pathname.replace(
      /^\/api(?=\/ws|\/prompt|\/jobs)/,
      "",
    );
    const method = request.method ?? "GET";
    if (path === "/null-requests") {
      respond(response, { body: Object.fromEntries(requests) });
      return;
    }
    noteRequest(method, path);
    server.answer(method, path, request).then(
      (answer) => {
        respond(response, answer);
      },
      (error: unknown) => {
        respond(response, { status: 500, body: String(error) });
      },
    );
  });
  http.keepAliveTimeout = 75_000;
  const sockets = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (client) => {
      const { searchParams } = new URL(request.url ?? "/", "http://null");
      server.connect(client, searchParams.get("clientId") ?? "");
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${z.custom<AddressInfo>().parse(http.address()).port}`;
}

const urls = await Promise.all(
  Array.from({ length: Number(values.servers) }, () => listen(new NullServer())),
);
for (const end of ["SIGTERM", "disconnect"]) process.once(end, () => process.exit(0));
process.send?.({ type: "ready", details: { urls: urls.join() } });
console.log(`null servers listening on ${urls.join()}`);
