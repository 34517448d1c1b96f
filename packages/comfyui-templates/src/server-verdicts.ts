import { randomInt, randomUUID } from "node:crypto";
import { parsePythonJson, stringifyExactJson, type Workflow } from "@genga/comfyui";
import { z } from "zod";

/** A server's answer to a posted graph. */
export interface ServerVerdict {
  /** Whether the server would run the whole graph. A graph of which it would leave out some outputs is not accepted. */
  accepted: boolean;
  errors: { node: string; input: string | null; type: string; details?: string | undefined }[];
}

/** Posted graphs must never run, so this many prompts that only pass time wait ahead of them. */
const holdersWaiting = 2;
const requestTimeoutMs = 60_000;
/** After this many graphs, the check for other users of the server is repeated. */
const checkOthersEvery = 25;

const queueSchema = z.object({
  queue_running: z.array(z.tuple([z.unknown(), z.string()]).rest(z.unknown())),
  queue_pending: z.array(z.tuple([z.unknown(), z.string()]).rest(z.unknown())),
});
const errorSchema = z.looseObject({
  type: z.string(),
  details: z.string().catch(""),
  extra_info: z.looseObject({ input_name: z.string().optional() }).nullish().catch(undefined),
});
const replySchema = z.looseObject({
  error: z.union([errorSchema, z.string()]).optional().catch(undefined),
  node_errors: z
    .union([z.record(z.string(), z.looseObject({ errors: z.array(errorSchema) })), z.array(z.unknown())])
    .optional()
    .catch(undefined),
});

/** The server, or its answer, cannot be used for verdicts. */
export class UnfitServerError extends Error {}

/**
 * Asks a real server for its verdicts by posting graphs, and never lets one run. A prompt that only passes time holds
 * the server's one executor (tiny pictures, quantized one by one on the CPU), more such prompts wait with a better
 * priority, and each accepted graph is deleted right after its answer. A server with work of its own is refused.
 */
export class VerdictServer {
  readonly #url: string;
  readonly #holder: () => Workflow;
  readonly #holders = new Set<string>();
  readonly #judged = new Set<string>();
  #count = 0;

  private constructor(url: string, holder: () => Workflow) {
    this.#url = url;
    this.#holder = holder;
  }

  /**
   * @param options.holder makes a long prompt that can be interrupted; each call makes a different one
   * @throws UnfitServerError the server is busy, or lacks the nodes to hold it with
   */
  static async open(
    url: string,
    { holder = passTime }: { holder?: () => Workflow } = {},
  ): Promise<VerdictServer> {
    const server = new VerdictServer(url.replace(/\/+$/, ""), holder);
    const { queue_running: running, queue_pending: pending } = await server.#queue();
    if (running.length + pending.length > 0) {
      throw new UnfitServerError(
        `${url} has ${running.length + pending.length} prompts of its own; use a server with an empty queue.`,
      );
    }
    await server.#hold();
    return server;
  }

  /** The answer of `GET /object_info`, unchanged. */
  async objectInfo(): Promise<Record<string, unknown>> {
    return z.record(z.string(), z.unknown()).parse(await this.#get("/object_info"));
  }

  /** `comfyui_version` of `GET /system_stats`. */
  async version(): Promise<string> {
    const stats = z.looseObject({ system: z.looseObject({ comfyui_version: z.string().catch("?") }) });
    return stats.parse(await this.#get("/system_stats")).system.comfyui_version;
  }

  /** @throws UnfitServerError another client has begun to use the server */
  async judge(graph: Workflow): Promise<ServerVerdict> {
    if (this.#count % checkOthersEvery === 0) await this.#hold();
    this.#count += 1;
    const promptId = randomUUID();
    this.#judged.add(promptId);
    const response = await this.#send("POST", "/prompt", { prompt: graph, prompt_id: promptId });
    const text = await response.text();
    await this.#send("POST", "/queue", { delete: [promptId] });
    if (response.status >= 500) {
      return { accepted: false, errors: [{ node: "", input: null, type: `http_${response.status}` }] };
    }
    return readVerdict(response.status, parsePythonJson(text));
  }

  /** Removes all prompts of the check. @returns how many judged graphs ran; 0 unless another client interfered */
  async close(): Promise<number> {
    const judged = new Set<string>();
    for (const promptId of this.#judged) {
      const entry = await this.#get(`/history/${promptId}`);
      if (typeof entry === "object" && entry !== null && promptId in entry) judged.add(promptId);
    }
    await this.#send("POST", "/queue", { delete: [...this.#holders] });
    const { queue_running: running } = await this.#queue();
    for (const [, promptId] of running) {
      if (this.#holders.has(promptId)) await this.#send("POST", "/interrupt", { prompt_id: promptId });
    }
    return judged.size;
  }

  /** Keeps one holder running and some waiting, and checks whether other clients use the server. */
  async #hold(): Promise<void> {
    const queue = await this.#queue();
    const ids = [...queue.queue_running, ...queue.queue_pending].map(([, promptId]) => promptId);
    const othersPrompts = ids.filter((id) => !this.#holders.has(id) && !this.#judged.has(id));
    if (othersPrompts.length > 0) {
      throw new UnfitServerError(
        `Another client sent prompts to ${this.#url}; the check ends, so that they need not wait.`,
      );
    }
    const missing = 1 + holdersWaiting - ids.filter((id) => this.#holders.has(id)).length;
    for (let count = 0; count < missing; count += 1) {
      const promptId = randomUUID();
      this.#holders.add(promptId);
      // The smallest number runs first.
      const body = { prompt: this.#holder(), prompt_id: promptId, number: -1_000_000 + this.#holders.size };
      const response = await this.#send("POST", "/prompt", body);
      if (response.status !== 200) {
        throw new UnfitServerError(
          `${this.#url} refuses the prompt that is to keep it from running others: ${(await response.text()).slice(0, 500)}`,
        );
      }
      await response.arrayBuffer();
    }
  }

  async #queue(): Promise<z.infer<typeof queueSchema>> {
    return queueSchema.parse(await this.#get("/queue"));
  }

  async #get(path: string): Promise<unknown> {
    const response = await this.#send("GET", path);
    return parsePythonJson(await response.text());
  }

  async #send(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(this.#url + path, {
      method,
      signal: AbortSignal.timeout(requestTimeoutMs),
      ...(body === undefined
        ? {}
        : { body: stringifyExactJson(body), headers: { "content-type": "application/json" } }),
    });
  }
}

/**
 * A prompt that only passes time: it quantizes four thousand pictures of 16 × 16 one by one, with nodes that only need
 * the CPU.
 */
function passTime(): Workflow {
  const steps = 60;
  const chain = Array.from({ length: steps }, (_unused, index): [string, Workflow[string]] => [
    String(index + 3),
    {
      class_type: "ImageQuantize",
      inputs: { image: [String(index + 2), 0], colors: 255 - index, dither: "floyd-steinberg" },
    },
  ]);
  const all = String(steps + 3);
  return {
    "1": {
      class_type: "EmptyImage",
      inputs: { width: 16, height: 16, batch_size: 4_096, color: randomInt(2 ** 24) },
    },
    "2": { class_type: "RebatchImages", inputs: { images: ["1", 0], batch_size: 1 } },
    ...Object.fromEntries(chain),
    [all]: { class_type: "RebatchImages", inputs: { images: [String(steps + 2), 0], batch_size: 4_096 } },
    last: { class_type: "ImageFromBatch", inputs: { image: [all, 0], batch_index: 0, length: 1 } },
    end: { class_type: "PreviewImage", inputs: { images: ["last", 0] } },
  };
}

function readVerdict(status: number, reply: unknown): ServerVerdict {
  const { error, node_errors: nodeErrors } = replySchema.parse(reply);
  const ofNodes = Object.entries(nodeErrors === undefined || Array.isArray(nodeErrors) ? {} : nodeErrors);
  const errors = ofNodes.flatMap(([node, { errors: all }]) =>
    all.map(({ type, details, extra_info: extra }) => ({
      ...{ node, input: extra?.input_name ?? null, type },
      ...(details === "" ? {} : { details: details.slice(0, 300) }),
    })),
  );
  if (status === 200) return { accepted: errors.length === 0, errors };
  if (errors.length > 0) return { accepted: false, errors };
  const type = typeof error === "string" ? error : (error?.type ?? `http_${status}`);
  return { accepted: false, errors: [{ node: "", input: null, type }] };
}
