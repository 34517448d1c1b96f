import { once } from "node:events";
import { WebSocket } from "ws";

/** A graph as clients send it. */
export type Graph = Record<string, { class_type: string; inputs: Record<string, unknown> }>;

/** One message of a socket. */
export interface Received {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** A plain client of the protocol, for tests. */
export class TestClient {
  readonly url: string;
  readonly id: string;
  readonly received: Received[] = [];
  readonly frames: Buffer[] = [];
  #socket: WebSocket | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(url: string, id: string) {
    this.url = url;
    this.id = id;
  }

  async connect(path = `/ws?clientId=${this.id}`): Promise<WebSocket> {
    const socket = new WebSocket(this.url.replace("http", "ws") + path);
    this.#socket = socket;
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.frames.push(data);
      else this.received.push(JSON.parse(data.toString()) as Received);
      for (const look of this.#waiting) look();
    });
    await once(socket, "open");
    return socket;
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (!socket || socket.readyState === socket.CLOSED) return;
    socket.close();
    await once(socket, "close");
  }

  /** A request on a connection of its own: one that is kept might belong to a server that has ended. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { ...init, headers: { connection: "close" } });
  }

  async post(path: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
    const reply = await this.fetch(path, { method: "POST", body: JSON.stringify(body) });
    const text = await reply.text();
    return {
      status: reply.status,
      body: text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : { text },
    };
  }

  async get(path: string): Promise<Record<string, unknown>> {
    const reply = await this.fetch(path);
    return (await reply.json()) as Record<string, unknown>;
  }

  async submit(prompt: Graph, more: Record<string, unknown> = {}): Promise<string> {
    const { status, body } = await this.post("/prompt", { prompt, client_id: this.id, ...more });
    if (status !== 200) throw new Error(`refused: ${JSON.stringify(body)}`);
    return String(body["prompt_id"]);
  }

  /** Submits and waits until the server says that it is done with it. */
  async run(prompt: Graph, more: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const promptId = await this.submit(prompt, more);
    await this.finished(promptId);
    const history = await this.get(`/history/${encodeURIComponent(promptId)}`);
    return history[promptId] as Record<string, unknown>;
  }

  finished(promptId: string): Promise<Received> {
    return this.message(
      ({ type, data }) => type === "executing" && data["node"] === null && data["prompt_id"] === promptId,
    );
  }

  /** The first message, past or to come, that fits. */
  async message(fits: (message: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(fits);
      if (found) return found;
      await this.change();
    }
  }

  /** Resolves with the next message of any kind. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  types(promptId: string): string[] {
    return this.received.filter(({ data }) => data["prompt_id"] === promptId).map(({ type }) => type);
  }
}

export function textGraph(text: string): Graph {
  return { "1": { class_type: "ProtoText", inputs: { text, progress_text: false } } };
}

export function flatGraph(color: number, prefix = "flat"): Graph {
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: prefix } },
  };
}

export function sleepGraph(seconds: number, seed: number, preview = "none", steps = 4): Graph {
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: seed } },
    "2": { class_type: "ProtoSleep", inputs: { image: ["1", 0], seconds, steps, preview, seed } },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "slept" } },
  };
}

/** Text to image; with frames, AnimateDiff. `ending` gets the decoded images as `["6", 0]`. */
export function sceneGraph(
  options: { prompt: string; seed: number; size?: number; frames?: number; steps?: number },
  ending: Graph,
): Graph {
  const { prompt, seed, size = 256, frames, steps = 2 } = options;
  const model = frames === undefined ? ["1", 0] : ["10", 0];
  return {
    "1": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "counterfeit_v3.safetensors" } },
    "2": { class_type: "CLIPTextEncode", inputs: { text: prompt, clip: ["1", 1] } },
    "3": { class_type: "CLIPTextEncode", inputs: { text: "worst quality", clip: ["1", 1] } },
    "4": { class_type: "EmptyLatentImage", inputs: { width: size, height: size, batch_size: frames ?? 1 } },
    "5": {
      class_type: "KSampler",
      inputs: {
        model,
        positive: ["2", 0],
        negative: ["3", 0],
        latent_image: ["4", 0],
        seed,
        steps,
        cfg: 7,
        sampler_name: "euler",
        scheduler: "normal",
        denoise: 1,
      },
    },
    "6": { class_type: "VAEDecode", inputs: { samples: ["5", 0], vae: ["1", 2] } },
    ...(frames === undefined
      ? {}
      : {
          "10": {
            class_type: "ADE_AnimateDiffLoaderGen1",
            inputs: {
              model: ["1", 0],
              model_name: "mm_sd_v15_v2.ckpt",
              beta_schedule: "autoselect",
              context_options: ["11", 0],
            },
          },
          "11": {
            class_type: "ADE_StandardStaticContextOptions",
            inputs: { context_length: 16, context_overlap: 4 },
          },
        }),
    ...ending,
  };
}
