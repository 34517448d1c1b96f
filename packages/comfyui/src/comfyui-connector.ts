import { randomUUID } from "node:crypto";

import { cancelPrompt, type CancelOutcome } from "./wire/cancel.ts";
import { withDeadline } from "./wire/deadline.ts";
import { ComfyUIError } from "./wire/errors.ts";
import { HttpClient, type CallOptions, type Download, type Method } from "./wire/http-client.ts";
import { type ObjectInfo } from "./classes/object-info.ts";
import { collectOutputs, type FileReference, type OutputReference } from "./wire/outputs.ts";
import { initialProgress, markSubmitted, type Progress } from "./watching/progress.ts";
import { promptLost, type PromptLookup, type ServerQueue } from "./wire/prompt-lookup.ts";
import { type ConnectorCounters } from "./watching/connector-counters.ts";
import { type MeasuredNode } from "./watching/node-weights.ts";
import { type PromptRelay } from "./watching/prompt-relay.ts";
import { PromptWatches } from "./watching/prompt-watches.ts";
import {
  ServerApi,
  type ServerAbilities,
  type SystemStats,
  type StreamedUpload,
  type Upload,
  type UploadedImage,
} from "./wire/server-api.ts";
import { accessHeaders, lookupOf, type ServerAccess } from "./wire/server-access.ts";
import { assertSubmittable, postPrompt, refusedPrompt, type PostOutcome } from "./wire/submit.ts";
import { type WatchEvent } from "./watching/watch-event.ts";
import { type Workflow } from "./graph/workflow.ts";
import { withdrawPrompt } from "./wire/withdraw.ts";

/** Receives warnings about failures that no caller needs to handle; a pino logger fits. */
export interface ConnectorLogger {
  warn(details: object, message: string): void;
}

export interface ComfyUIConnectorOptions extends ServerAccess {
  /** Where the server is, for example `http://127.0.0.1:8188`; a path prefix and `user:password@` are honoured. */
  baseUrl: string;
  /**
   * The client id of this connector's socket, to which the server sends the messages of its prompts. It is stored with
   * each attempt. Random when absent.
   */
  clientId?: string;
  /** For one HTTP exchange. A healthy server sometimes stalls for half a second, so set it to about 2 s or more. */
  requestTimeoutMs?: number;
  /** For `POST /prompt`. */
  postTimeoutMs?: number;
  /** After this long without a message about a watched prompt, the connector asks queue and history. */
  silenceMs?: number;
  /** Three pings in a row without a sign of life end a connection. */
  pingIntervalMs?: number;
  /** Between attempts to open the socket: exponential, with jitter. */
  backoff?: { minMs: number; maxMs: number };
  messageBytesMax?: number;
  replyBytesMax?: number;
  logger?: ConnectorLogger;
}

export interface SubmitRequest extends CallOptions {
  /** A lowercase hyphenated UUID, chosen and stored by the caller before this call. */
  promptId: string;
  workflow: Workflow;
  /** The client id of the connector when absent. */
  clientId?: string;
  extraData?: Record<string, unknown>;
  /** Only these output nodes run; all when absent. */
  targets?: readonly string[] | undefined;
  relay?: PromptRelay | undefined;
}

export interface Submitted {
  promptId: string;
  /** The server's priority number; smallest runs first. */
  number: number;
}

export interface WatchOptions {
  /** Whose socket gets the messages: to adopt a prompt, the client id stored with it. The connector's own when absent. */
  clientId?: string;
  signal?: AbortSignal | undefined;
  /** For titles and weights in `progress` events; not needed after `submit`. */
  workflow?: Workflow;
  /**
   * How long its nodes took in earlier runs of such graphs, by node id: weights, and progress of silent nodes. The watch does
   * not wait for it. `null` = nothing was measured. Must not reject.
   */
  measured?: Promise<ReadonlyMap<string, MeasuredNode> | null> | undefined;
  /** How long the server may fail to answer before the watch throws; no limit when absent. */
  unreachableMs?: number;
  /** Not needed after a `submit` that had it. */
  relay?: PromptRelay | undefined;
}

const kibibyte = 1024;
const defaults = {
  requestTimeoutMs: 10_000,
  postTimeoutMs: 5_000,
  silenceMs: 10_000,
  pingIntervalMs: 5_000,
  backoff: { minMs: 100, maxMs: 10_000 },
  messageBytesMax: 64 * kibibyte * kibibyte,
  replyBytesMax: 64 * kibibyte * kibibyte,
};

/**
 * A client of one ComfyUI server. It submits prompts under ids that Genga chooses, watches each prompt to its end, and
 * fetches the outputs.
 *
 * The server forgets everything when it restarts and sends messages only to sockets that listen at that moment, so no
 * method relies on a message: see `PromptWatches`. Every failure is a `ComfyUIError` that says whether to try again.
 * The one exception is the abort reason of the caller's own signal, which is thrown unchanged.
 */
export class ComfyUIConnector {
  readonly clientId: string;
  readonly #http: HttpClient;
  readonly #api: ServerApi;
  readonly #watches: PromptWatches;
  readonly #connectTimeoutMs: number;
  readonly #postTimeoutMs: number;
  readonly #logger: ConnectorLogger | undefined;

  constructor(options: ComfyUIConnectorOptions) {
    const settings = { ...defaults, ...options };
    this.clientId = options.clientId ?? randomUUID();
    this.#connectTimeoutMs = settings.requestTimeoutMs;
    this.#postTimeoutMs = settings.postTimeoutMs;
    this.#logger = options.logger;
    const url = new URL(options.baseUrl);
    this.#http = new HttpClient(settings);
    this.#api = new ServerApi(this.#http);
    this.#watches = new PromptWatches({
      clientId: this.clientId,
      socketUrl: (clientId) => socketUrlOf(options.baseUrl, clientId),
      socket: { ...settings, headers: () => accessHeaders(url, options), lookup: lookupOf(options) },
      silenceMs: settings.silenceMs,
      lookup: (promptId, signal) => this.#api.lookup(promptId, { signal }),
      lookupEnded: (promptId, signal) => this.#api.lookupEnded(promptId, { signal }),
      onDisconnect: () => {
        this.#api.forgetVersion();
      },
    });
  }

  /** Whether the socket of this connector's own client id is open and registered with the server. */
  get isConnected(): boolean {
    return this.#watches.isConnected;
  }

  /** Whether the socket of this client id is open. While it is open, silence means that the server sent no message. */
  isHearing(clientId: string): boolean {
    return this.#watches.isHearing(clientId);
  }

  get counters(): Readonly<ConnectorCounters> {
    return this.#watches.counters;
  }

  /**
   * Opens the socket of this connector's own client id, which then stays open and reconnects by itself. Throws if the
   * next attempt to connect fails.
   */
  async connect(options: CallOptions = {}): Promise<void> {
    await this.#connect(this.clientId, options);
  }

  /**
   * One JSON exchange with the server; `path` with its query, already encoded. Resolves with the parsed body, or with
   * `undefined` for an empty one; throws a `ComfyUIError` for anything but a 2xx.
   */
  async makeRequest(
    method: Method,
    path: string,
    options: CallOptions & { body?: unknown } = {},
  ): Promise<unknown> {
    return this.#http.json(method, path, options);
  }

  /** Returns the body of a GET's answer as bytes, without parsing it. Throws like `makeRequest`. */
  async readBytes(path: string, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#http.bytes(path, options);
  }

  /**
   * Queues a prompt, once. The socket is open and the prompt's events are kept from before the POST, so a `watch` that
   * follows misses nothing. If the server refuses a part of the graph (200 with node errors), the whole prompt counts
   * as refused, and the connector cancels the part that the server queued. After `submit_outcome_unknown` (also when
   * `signal` fires in mid-request), `lookup` tells what happened.
   */
  async submit(request: SubmitRequest): Promise<Submitted> {
    const { promptId, workflow, extraData, targets, signal } = request;
    const clientId = request.clientId ?? this.clientId;
    const body = { promptId, workflow, clientId, extraData, targets };
    assertSubmittable(body);
    await this.#connect(clientId, request);
    const watch = this.#watches.open(promptId, clientId, workflow);
    watch.isPosting = true;
    watch.relay = request.relay;
    let posted: PostOutcome;
    try {
      posted = await postPrompt(this.#http, body, {
        signal,
        timeoutMs: request.timeoutMs ?? this.#postTimeoutMs,
      });
    } catch (error) {
      this.#watches.forget(watch);
      throw error;
    } finally {
      watch.isPosting = false;
    }
    if (posted.nodeErrors.length > 0 || posted.promptId !== promptId) {
      this.#watches.forget(watch);
      await this.#withdraw(posted.promptId);
      throw posted.promptId === promptId
        ? refusedPrompt(posted.nodeErrors, "The server accepts only a part of the graph.")
        : new ComfyUIError("bad_reply", "The server does not keep prompt ids; it is too old for us.");
    }
    watch.markSubmitted();
    this.#watches.expectMessages(watch);
    return { promptId, number: posted.number };
  }

  /** Asks where a prompt stands: the queue first, then the history (PROTOCOL 0.2). */
  async lookup(promptId: string, options: CallOptions = {}): Promise<PromptLookup> {
    return this.#api.lookup(promptId, options);
  }

  /**
   * The events of a prompt, ending with exactly one `settled`. For a prompt of another worker (adoption) pass its
   * client id; otherwise call `submit` first. One reader per prompt. Leaving the loop ends the watch, not the prompt.
   */
  async *watch(promptId: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    options.signal?.throwIfAborted();
    const known = this.#watches.get(promptId);
    if (known?.hasReader === true) throw new Error(`Prompt ${promptId} is being watched already.`);
    const watch = this.#watches.open(promptId, options.clientId ?? this.clientId, options.workflow ?? {});
    void options.measured?.then((measured) => {
      if (measured !== null) watch.weigh(measured);
    });
    if (options.unreachableMs !== undefined) watch.unreachableMs = options.unreachableMs;
    watch.relay ??= options.relay;
    if (known === undefined) void this.#watches.lookUp(watch);
    yield* this.#watches.read(watch, options.signal);
  }

  /**
   * The progress of a watched prompt; of another one, as much as queue and history tell. `undefined`: the server does
   * not know the prompt.
   */
  async getJobProgress(promptId: string, options: CallOptions = {}): Promise<Progress | undefined> {
    const watched = this.#watches.get(promptId);
    if (watched !== undefined) return watched.progress;
    const { progress } = markSubmitted(initialProgress({}));
    const lookup = await this.lookup(promptId, options);
    switch (lookup.state) {
      case "waiting":
        return progress;
      case "running":
      case "failed":
      case "interrupted":
        return { ...progress, phase: "executing" };
      case "finished":
        return { ...progress, phase: "saving", percent: 100 };
      case "absent":
        return undefined;
    }
  }

  /** Files and texts of a prompt that ended, also of one that failed half-way; none while it waits or runs. */
  async getJobOutputs(promptId: string, options: CallOptions = {}): Promise<OutputReference[]> {
    const lookup = await this.lookup(promptId, options);
    if (lookup.state === "absent") throw promptLost();
    return "history" in lookup ? collectOutputs(lookup.history.outputs) : [];
  }

  /** The bytes of a file, as a stream; `output_missing` if the server does not have it. */
  async downloadOutput(
    file: Pick<FileReference, "filename" | "subfolder" | "type">,
    options: CallOptions = {},
  ): Promise<Download> {
    return this.#api.downloadOutput(file, options);
  }

  /**
   * Removes a prompt from the queue if it waits, and returns where it stands then (`withdraw.ts`). A prompt that runs goes
   * on. The watch of a removed prompt ends with `settled` and the state `absent`.
   * @param options.timeoutMs of each of the calls to the server
   */
  async withdrawPrompt(promptId: string, options: CallOptions = {}): Promise<PromptLookup> {
    const lookup = await withdrawPrompt(this.#api, promptId, options);
    this.#watches.settle(promptId, lookup);
    return lookup;
  }

  /**
   * Removes a waiting prompt from the queue; a prompt that does not wait stays as it is. A watch of the removed prompt
   * ends with `settled` and the state `absent`.
   */
  async deletePrompt(promptId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.deletePrompt(promptId, options);
    const watch = this.#watches.get(promptId);
    if (watch !== undefined) void this.#watches.lookUp(watch);
  }

  /** Removes the record of a prompt that has ended, with its graph and messages; other prompts stay as they are. */
  async deleteHistory(promptIds: readonly string[], options: CallOptions = {}): Promise<void> {
    await this.#api.deleteHistory(promptIds, options);
  }

  /**
   * Asks the server to stop this prompt if it runs; other prompts stay as they are. The node that runs decides when it
   * stops.
   */
  async interrupt(promptId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.interrupt(promptId, options);
  }

  /**
   * Ends a prompt wherever it is, and returns the outcome, confirmed by queue and history. `timeoutMs` (10 s) bounds
   * the whole call. If a node does not check for interrupts in time, the outcome is `pending`.
   */
  async cancelPrompt(promptId: string, options: CallOptions = {}): Promise<CancelOutcome> {
    const outcome = await cancelPrompt(this.#api, promptId, options);
    this.#watches.settle(promptId, outcome.lookup);
    return outcome;
  }

  /** Asks the server to free memory before its next prompt. */
  async free(options: CallOptions & { unloadModels?: boolean; freeMemory?: boolean } = {}): Promise<void> {
    await this.#api.free(options);
  }

  /** The server's node classes, parsed. The answer has a third of a megabyte or more, so keep the result. */
  async objectInfo(options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#api.objectInfo(options);
  }

  async systemStats(options: CallOptions = {}): Promise<SystemStats> {
    return this.#api.systemStats(options);
  }

  /**
   * Finds out which optional abilities this server has. Ask again after a reconnect, because the server may then run
   * another version.
   */
  async probeAbilities(options: CallOptions = {}): Promise<ServerAbilities> {
    return this.#api.probeAbilities(options);
  }

  async features(options: CallOptions = {}): Promise<Record<string, unknown>> {
    return this.#api.features(options);
  }

  async queue(options: CallOptions = {}): Promise<ServerQueue> {
    return this.#api.queue(options);
  }

  /** Uploads an image for `LoadImage`. Use the returned name: the server may have chosen another (PROTOCOL 8). */
  async uploadImage(upload: Upload, options: CallOptions = {}): Promise<UploadedImage> {
    return this.#api.uploadImage(upload, options);
  }

  /** Uploads a file of any kind for a loader. Use the returned name, as after `uploadImage`. */
  async uploadFile(upload: StreamedUpload, options: CallOptions = {}): Promise<UploadedImage> {
    return this.#api.uploadFile(upload, options);
  }

  /** Closes sockets and connections and ends every watch with `connector_closed`. Prompts go on at the server. */
  async close(): Promise<void> {
    await this.#watches.close();
    await this.#http.close();
  }

  async #connect(clientId: string, options: CallOptions): Promise<void> {
    const { timeoutMs = this.#connectTimeoutMs, signal } = options;
    const late = (): Error => new ComfyUIError("server_unreachable", "The WebSocket did not open in time.");
    await withDeadline({ timeoutMs, signal, late }, (inner) => this.#watches.connect(clientId, inner));
  }

  /** Best effort: a partly refused prompt that stays queued wastes time, and must not hide the refusal. */
  async #withdraw(promptId: string): Promise<void> {
    try {
      await cancelPrompt(this.#api, promptId, { timeoutMs: this.#postTimeoutMs });
    } catch (error) {
      this.#logger?.warn({ promptId, error }, "A partly refused prompt could not be withdrawn");
    }
  }
}

function socketUrlOf(baseUrl: string, clientId: string): string {
  const url = new URL(baseUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/ws`;
  url.search = `?clientId=${encodeURIComponent(clientId)}`;
  url.username = "";
  url.password = "";
  url.hash = "";
  return url.href;
}
