import { randomUUID } from "node:crypto";

import { cancelPrompt, type CancelOutcome } from "./wire/cancel.ts";
import { ComfyUIError } from "./wire/errors.ts";
import {
  authorizationOf,
  HttpClient,
  type CallOptions,
  type Credentials,
  type Download,
  type Method,
} from "./wire/http-client.ts";
import { type ObjectInfo } from "./classes/object-info.ts";
import { collectOutputs, type FileReference, type OutputReference } from "./wire/outputs.ts";
import { markSubmitted, progressOf, type Progress } from "./watching/progress.ts";
import { promptLost, type PromptLookup, type ServerQueue } from "./wire/prompt-lookup.ts";
import { PromptWatches, type ConnectorCounters } from "./watching/prompt-watches.ts";
import {
  ServerApi,
  type ServerAbilities,
  type SystemStats,
  type Upload,
  type UploadedImage,
} from "./wire/server-api.ts";
import { assertSubmittable, postPrompt, refusedPrompt, type PostOutcome } from "./wire/submit.ts";
import { type WatchEvent } from "./watching/watch-event.ts";
import { type Workflow } from "./graph/workflow.ts";

/** Where to tell what went wrong without harming anybody; a pino logger fits. */
export interface ConnectorLogger {
  warn(details: object, message: string): void;
}

export interface ComfyUIConnectorOptions {
  /** Where the server is, for example `http://127.0.0.1:8188`; a path prefix and `user:password@` are honoured. */
  baseUrl: string;
  /** Instead of `user:password@` in the URL. */
  credentials?: Credentials | undefined;
  /** Which socket gets the messages of our prompts; stored with each attempt. Random when absent. */
  clientId?: string;
  /** For one HTTP exchange. A healthy server stalls for half a second now and then, so not much under 2 s. */
  requestTimeoutMs?: number;
  /** For `POST /prompt`. */
  postTimeoutMs?: number;
  /** After so long without a message about a watched prompt: look at queue and history. */
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
  /** The connector's own when absent. */
  clientId?: string;
  extraData?: Record<string, unknown>;
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
  /** How long the server may fail to answer before the watch throws; for ever when absent. */
  unreachableMs?: number;
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
 * One ComfyUI server: submits prompts under ids of our own, watches them to their end, fetches what they made.
 *
 * The server forgets everything when it restarts and sends messages only to sockets that listen at that moment, so
 * nothing here relies on a message arriving: see `PromptWatches`. Every failure is a `ComfyUIError` that says whether
 * to try again; only the abort reason of a caller's own signal is thrown as it is.
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
    this.#http = new HttpClient(settings);
    this.#api = new ServerApi(this.#http);
    this.#watches = new PromptWatches({
      clientId: this.clientId,
      socketUrl: (clientId) => socketUrlOf(options.baseUrl, clientId),
      socket: { ...settings, headers: authorizationOf(new URL(options.baseUrl), options.credentials) },
      silenceMs: settings.silenceMs,
      lookup: (promptId, signal) => this.#api.lookup(promptId, { signal }),
      lookupEnded: (promptId, signal) => this.#api.lookupEnded(promptId, { signal }),
      onDisconnect: () => {
        this.#api.forgetVersion();
      },
    });
  }

  /** The own socket is open and registered with the server. */
  get isConnected(): boolean {
    return this.#watches.isConnected;
  }

  /** The socket on which this client's messages come is open: what is not heard was not said. */
  isHearing(clientId: string): boolean {
    return this.#watches.isHearing(clientId);
  }

  get counters(): Readonly<ConnectorCounters> {
    return this.#watches.counters;
  }

  /** Opens the own socket (it stays open, and reconnects by itself). Throws if the next attempt fails. */
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

  /** The bytes of a GET's answer, unread. Throws like `makeRequest`. */
  async readBytes(path: string, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#http.bytes(path, options);
  }

  /**
   * Queues a prompt, once. The socket is open and the prompt's events are kept from before the POST, so a `watch` that
   * follows misses nothing. A refusal of a part (200 with node errors) is a refusal: what was queued is cancelled.
   * After `submit_outcome_unknown` (also when `signal` fires in mid-request), `lookup` tells what happened.
   */
  async submit(request: SubmitRequest): Promise<Submitted> {
    const { promptId, workflow, extraData, signal } = request;
    const clientId = request.clientId ?? this.clientId;
    const body = { promptId, workflow, clientId, extraData };
    assertSubmittable(body);
    await this.#connect(clientId, request);
    const watch = this.#watches.open(promptId, clientId, workflow);
    watch.isPosting = true;
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

  /** Where a prompt stands, by the queue first and the history second (PROTOCOL 0.2). */
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
    if (options.unreachableMs !== undefined) watch.unreachableMs = options.unreachableMs;
    if (known === undefined) void this.#watches.look(watch);
    yield* this.#watches.read(watch, options.signal);
  }

  /** The progress of a watched prompt; of another one, as much as queue and history tell. `undefined` = absent. */
  async getJobProgress(promptId: string, options: CallOptions = {}): Promise<Progress | undefined> {
    const watched = this.#watches.get(promptId);
    if (watched !== undefined) return watched.progress;
    const { progress } = markSubmitted(progressOf({}));
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

  /** Takes a waiting prompt out of the queue; does nothing to any other. A watch of it settles as `absent`. */
  async deletePrompt(promptId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.deletePrompt(promptId, options);
    const watch = this.#watches.get(promptId);
    if (watch !== undefined) void this.#watches.look(watch);
  }

  /** Removes the record of a prompt that has ended, with its graph and messages; does nothing to any other. */
  async deleteHistory(promptId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.deleteHistory(promptId, options);
  }

  /** Asks a running prompt to stop, and only that one; the node that runs decides when. */
  async interrupt(promptId: string, options: CallOptions = {}): Promise<void> {
    await this.#api.interrupt(promptId, options);
  }

  /**
   * Ends a prompt wherever it is, and says how that ended, confirmed by queue and history. `timeoutMs` (10 s) bounds
   * the whole; a node that does not look at the interrupt makes the outcome `pending`.
   */
  async cancelPrompt(promptId: string, options: CallOptions = {}): Promise<CancelOutcome> {
    const outcome = await cancelPrompt(this.#api, promptId, options);
    this.#watches.settle(promptId, outcome.lookup);
    return outcome;
  }

  /** Asks the server to give memory back between two prompts. */
  async free(options: CallOptions & { unloadModels?: boolean; freeMemory?: boolean } = {}): Promise<void> {
    await this.#api.free(options);
  }

  /** The server's node classes, parsed; a third of a megabyte, so keep the result. */
  async objectInfo(options: CallOptions = {}): Promise<ObjectInfo> {
    return this.#api.objectInfo(options);
  }

  async systemStats(options: CallOptions = {}): Promise<SystemStats> {
    return this.#api.systemStats(options);
  }

  /** What this server can that not every one can; ask again after a reconnect, it may be another version. */
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

  /** Closes sockets and connections and ends every watch with `connector_closed`. Prompts go on at the server. */
  async close(): Promise<void> {
    await this.#watches.close();
    await this.#http.close();
  }

  async #connect(clientId: string, options: CallOptions): Promise<void> {
    const deadline = new AbortController();
    const abort = (): void => {
      deadline.abort(options.signal?.reason);
    };
    const timer = setTimeout(() => {
      deadline.abort(new ComfyUIError("server_unreachable", "The WebSocket did not open in time."));
    }, options.timeoutMs ?? this.#connectTimeoutMs);
    options.signal?.addEventListener("abort", abort, { once: true });
    try {
      options.signal?.throwIfAborted();
      await this.#watches.connect(clientId, deadline.signal);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    }
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
