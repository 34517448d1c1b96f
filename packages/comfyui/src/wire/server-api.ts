import { type Readable } from "node:stream";
import { FormData } from "undici";
import { z } from "zod";

import { ComfyUIError } from "./errors.ts";
import { errorOfPost, errorOfStatus } from "./foreign-errors.ts";
import { type CallOptions, type Download, type HttpClient } from "./http-client.ts";
import { parseJson } from "./parse-json.ts";
import { StreamedForm } from "./streamed-form.ts";
import { objectInfoSchema, type ObjectInfo } from "../classes/object-info.ts";
import { type FileReference } from "./outputs.ts";
import {
  historyEntrySchema,
  lookupInHistory,
  lookupInQueue,
  orderQueue,
  queueSchema,
  type PromptLookup,
  type ServerQueue,
  type SettledLookup,
} from "./prompt-lookup.ts";
import { parsePythonJson } from "../json/exact-json.ts";

const deviceSchema = z.looseObject({
  name: z.string(),
  type: z.string(),
  vram_total: z.number().optional(),
  vram_free: z.number().optional(),
});

const systemStatsSchema = z.looseObject({
  system: z.looseObject({
    comfyui_version: z.string().optional(),
    ram_total: z.number().optional(),
    ram_free: z.number().optional(),
  }),
  devices: z.array(deviceSchema),
});

/** `GET /system_stats`; sizes in bytes. */
export type SystemStats = z.infer<typeof systemStatsSchema>;

/** Optional abilities of a server; older versions lack them. */
export interface ServerAbilities {
  /** `POST /api/jobs/{id}/cancel` ends a prompt wherever it is (PROTOCOL-0.28 4). */
  cancelsById: boolean;
  /** Previews name their prompt and node, if the client asks for it (PROTOCOL 3). */
  namesPreviews: boolean;
  /**
   * The server replaces nodes of classes that it no longer has, and lists the replacements at `/node_replacements`
   * (PROTOCOL-0.28 1).
   */
  replacesNodes: boolean;
  hasAssets: boolean;
  /** The longest request that the server accepts. */
  uploadBytesMax: number | null;
}

const featuresSchema = z.object({
  supports_preview_metadata: z.boolean().catch(false),
  node_replacements: z.boolean().catch(false),
  assets: z.boolean().catch(false),
  max_upload_size: z.number().nullable().catch(null),
});

export interface Upload {
  bytes: Uint8Array;
  filename: string;
  mediaType?: string;
  subfolder?: string;
  type?: "input" | "temp" | "output";
  /** Replace a file of that name. Otherwise other bytes under the same name get a name of their own. */
  overwrite?: boolean;
}

/** A file of any kind and size, read while it is sent. */
export interface StreamedUpload {
  /** Has exactly `bytes` bytes. */
  body: Readable;
  bytes: number;
  filename: string;
  mediaType: string;
  subfolder: string;
}

const uploadedImageSchema = z.object({ name: z.string(), subfolder: z.string(), type: z.string() });

/** The name for `LoadImage`: `name`, or `subfolder/name`. */
export type UploadedImage = z.infer<typeof uploadedImageSchema>;

const cancelledSchema = z.object({ cancelled: z.boolean() });
const nobodysPrompt = "00000000-0000-0000-0000-000000000000";

/** The server's HTTP routes, each a typed call (PROTOCOL 1). */
export class ServerApi {
  readonly #http: HttpClient;
  /**
   * Whether the server has `/api/jobs/{id}/cancel` (PROTOCOL 12); unknown until `probeAbilities` or a cancellation has
   * asked.
   */
  #hasCancelRoute: boolean | undefined;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /** Forgets what is known of the version, because the server may run another version when the connection is back. */
  forgetVersion(): void {
    this.#hasCancelRoute = undefined;
  }

  /**
   * Queue first, history second: the server moves a prompt from one to the other in one step, so in this order "in
   * neither" cannot mean "finished in between" (PROTOCOL 0.2).
   */
  async lookup(promptId: string, options: CallOptions): Promise<PromptLookup> {
    const queue = await this.queue(options);
    const known = lookupInQueue(promptId, queue) ?? (await this.lookupEnded(promptId, options));
    const others = [...queue.running, ...queue.pending];
    return known ?? { state: "absent", others: others.map((other) => other.promptId) };
  }

  /** Asks only the history. `undefined`: the history has no entry, which alone does not say where the prompt is. */
  async lookupEnded(promptId: string, options: CallOptions): Promise<SettledLookup | undefined> {
    const path = `/history/${encodeURIComponent(promptId)}`;
    const reply = await this.#http.text("GET", path, options);
    const history = parse(z.record(z.string(), z.unknown()), parseJson(reply, path), path);
    if (!Object.hasOwn(history, promptId)) return undefined;
    return lookupInHistory({ ...parse(historyEntrySchema, history[promptId], path), reply });
  }

  async queue(options: CallOptions): Promise<ServerQueue> {
    return orderQueue(parse(queueSchema, await this.#http.json("GET", "/queue", options), "/queue"));
  }

  async deletePrompt(promptId: string, options: CallOptions): Promise<void> {
    await this.#http.json("POST", "/queue", { ...options, body: { delete: [promptId] } });
  }

  /** Removes the record of a prompt that has ended; other prompts stay as they are (PROTOCOL 1). */
  async deleteHistory(promptIds: readonly string[], options: CallOptions): Promise<void> {
    await this.#http.json("POST", "/history", { ...options, body: { delete: promptIds } });
  }

  /** Always with an id: without one, the server interrupts whatever runs. */
  async interrupt(promptId: string, options: CallOptions): Promise<void> {
    await this.#http.json("POST", "/interrupt", { ...options, body: { prompt_id: promptId } });
  }

  /**
   * Cancels a prompt by one atomic request, on newer servers. `true`: the server signalled the prompt. `false`: the
   * route does not exist, or it found nothing to cancel. Ask queue and history how the prompt ended.
   * @throws ComfyUIError `access_denied` if credentials are missing or wrong
   */
  async cancelByRoute(promptId: string, options: CallOptions): Promise<boolean> {
    if (this.#hasCancelRoute === false) return false;
    const path = `/api/jobs/${encodeURIComponent(promptId)}/cancel`;
    const { status, text } = await this.#http.exchange("POST", path, options);
    const reply = status === 200 ? parseCancelReply(text) : undefined;
    if (reply !== undefined) {
      this.#hasCancelRoute = true;
      return reply.cancelled;
    }
    const error = errorOfStatus(status, text, "POST /api/jobs/{id}/cancel");
    // v0.3.64 answers 405 to a POST to an unknown path. What a proxy says of itself says nothing about the route.
    if (error.code === "request_refused") this.#hasCancelRoute = false;
    // A proxy may refuse this route alone (403), and let through those by which older servers cancel.
    if (error.code === "access_denied" && status !== 403) throw error;
    return false;
  }

  /** Asks two harmless questions: for the server's own features, and to cancel a prompt id that was never sent. */
  async probeAbilities(options: CallOptions): Promise<ServerAbilities> {
    this.forgetVersion();
    await this.cancelByRoute(nobodysPrompt, options);
    const features = await this.#featuresIfAny(options);
    return {
      cancelsById: this.#hasCancelRoute ?? false,
      namesPreviews: features.supports_preview_metadata,
      replacesNodes: features.node_replacements,
      hasAssets: features.assets,
      uploadBytesMax: features.max_upload_size,
    };
  }

  /**
   * Servers before 0.3.50 have no `/features`. A server with an unreadable answer is used as if it had no optional
   * abilities.
   */
  async #featuresIfAny(options: CallOptions): Promise<z.infer<typeof featuresSchema>> {
    try {
      return parse(featuresSchema, await this.features(options), "/features");
    } catch (error) {
      const isNoFeatures =
        error instanceof ComfyUIError && (error.code === "request_refused" || error.code === "bad_reply");
      if (isNoFeatures) return featuresSchema.parse({});
      throw error;
    }
  }

  async free(options: CallOptions & { unloadModels?: boolean; freeMemory?: boolean }): Promise<void> {
    const body = { unload_models: options.unloadModels ?? true, free_memory: options.freeMemory ?? true };
    await this.#http.json("POST", "/free", { signal: options.signal, timeoutMs: options.timeoutMs, body });
  }

  async objectInfo(options: CallOptions): Promise<ObjectInfo> {
    return parse(objectInfoSchema, await this.#http.json("GET", "/object_info", options), "/object_info");
  }

  async systemStats(options: CallOptions): Promise<SystemStats> {
    return parse(systemStatsSchema, await this.#http.json("GET", "/system_stats", options), "/system_stats");
  }

  async features(options: CallOptions): Promise<Record<string, unknown>> {
    const features = await this.#http.json("GET", "/features", options);
    return parse(z.record(z.string(), z.unknown()), features, "/features");
  }

  async downloadOutput(
    file: Pick<FileReference, "filename" | "subfolder" | "type">,
    options: CallOptions,
  ): Promise<Download> {
    const query = new URLSearchParams({
      filename: file.filename,
      subfolder: file.subfolder,
      type: file.type,
    });
    try {
      return await this.#http.download(`/view?${query.toString()}`, options);
    } catch (error) {
      if (!(error instanceof ComfyUIError) || error.code !== "request_refused") throw error;
      const name = file.subfolder === "" ? file.filename : `${file.subfolder}/${file.filename}`;
      throw new ComfyUIError("output_missing", `The server cannot serve its own output ${name}.`, {
        cause: error,
        httpStatus: error.httpStatus,
      });
    }
  }

  async uploadImage(upload: Upload, options: CallOptions): Promise<UploadedImage> {
    const form = new FormData();
    const mediaType = upload.mediaType ?? "application/octet-stream";
    form.set("image", new Blob([Buffer.from(upload.bytes)], { type: mediaType }), upload.filename);
    form.set("type", upload.type ?? "input");
    if (upload.subfolder !== undefined) form.set("subfolder", upload.subfolder);
    if (upload.overwrite === true) form.set("overwrite", "true");
    return await this.#postUpload(form, options);
  }

  async uploadFile(upload: StreamedUpload, options: CallOptions): Promise<UploadedImage> {
    const { body, bytes, filename, mediaType, subfolder } = upload;
    const file = { field: "image", filename, mediaType, bytes, body };
    return await this.#postUpload(new StreamedForm(file, { type: "input", subfolder }), options);
  }

  async #postUpload(form: FormData | StreamedForm, options: CallOptions): Promise<UploadedImage> {
    const path = "/upload/image";
    const { status, text } = await this.#http.exchange("POST", path, { ...options, body: form });
    if (status < 200 || status > 299) throw errorOfPost(status, text, path);
    return parse(uploadedImageSchema, parseJson(text, `POST ${path}`), path);
  }
}

function parseCancelReply(text: string): z.infer<typeof cancelledSchema> | undefined {
  try {
    return cancelledSchema.safeParse(parsePythonJson(text)).data;
  } catch {
    return undefined; // A proxy's page: not the route.
  }
}

function parse<Value>(schema: z.ZodType<Value>, value: unknown, path: string): Value {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ComfyUIError("bad_reply", `${path}: not the answer that a ComfyUI gives.`, {
    cause: parsed.error,
  });
}
