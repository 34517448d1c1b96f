import type { Readable } from "node:stream";

import type { ObjectInfo } from "./object-info.ts";
import type { FileReference, OutputReference } from "./outputs.ts";
import type { Progress } from "./progress.ts";
import type { PromptLookup, ServerQueue } from "./prompt-lookup.ts";
import type { WatchEvent } from "./watch-event.ts";
import type { Workflow } from "./workflow.ts";

export interface ConnectorLogger {
  debug(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface ComfyUIConnectorOptions {
  /** Where the server is, for example `http://127.0.0.1:8188`; a path prefix and user:password are honoured. */
  baseUrl: string;
  /** Which socket gets the messages of our prompts; stored with each attempt. Random when absent. */
  clientId?: string;
  requestTimeoutMs?: number;
  postTimeoutMs?: number;
  silenceMs?: number;
  pingIntervalMs?: number;
  backoff?: { minMs: number; maxMs: number };
  messageBytesMax?: number;
  replyBytesMax?: number;
  logger?: ConnectorLogger;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface SubmitRequest extends CallOptions {
  /** Lowercase hyphenated UUID, chosen and stored by the caller before this call. */
  promptId: string;
  workflow: Workflow;
  /** The connector's own when absent. */
  clientId?: string;
  extraData?: Record<string, unknown>;
}

export interface Submitted {
  promptId: string;
  number: number;
}

export interface WatchOptions {
  clientId?: string;
  signal?: AbortSignal | undefined;
  /** For titles and weights in `progress` events; not needed after `submit`. */
  workflow?: Workflow;
  /** How long the server may not answer before the watch throws `server_unreachable`. For ever when absent. */
  unreachableMs?: number;
}

/** How a cancellation ended: `deleted` before it ran, `interrupted`, or `too_late` (finished, failed, or never there). */
export type CancelOutcome =
  | { outcome: "deleted" | "interrupted" | "too_late"; lookup: PromptLookup }
  /** Not confirmed in time: the interrupt is set, and the node that runs does not look at it yet. */
  | { outcome: "pending"; lookup: PromptLookup };

export interface Download {
  body: Readable;
  contentLength: number | undefined;
  contentType: string | undefined;
}

export interface Upload {
  bytes: Uint8Array;
  filename: string;
  mediaType?: string;
  subfolder?: string;
  type?: "input" | "temp" | "output";
  overwrite?: boolean;
}

/** Signatures first: the bodies follow in the next commits. */
export declare class ComfyUIConnector {
  readonly baseUrl: string;
  readonly clientId: string;
  constructor(options: ComfyUIConnectorOptions);
  get isConnected(): boolean;
  get counters(): Readonly<{ messages: number; unknownMessages: number; reconnects: number }>;
  connect(options?: CallOptions): Promise<void>;
  makeRequest(
    method: "GET" | "POST",
    path: string,
    options?: CallOptions & { body?: unknown },
  ): Promise<unknown>;
  submit(request: SubmitRequest): Promise<Submitted>;
  lookup(promptId: string, options?: CallOptions): Promise<PromptLookup>;
  watch(promptId: string, options?: WatchOptions): AsyncGenerator<WatchEvent, void, undefined>;
  getJobProgress(promptId: string, options?: CallOptions): Promise<Progress | undefined>;
  getJobOutputs(promptId: string, options?: CallOptions): Promise<OutputReference[]>;
  downloadOutput(
    file: Pick<FileReference, "filename" | "subfolder" | "type">,
    options?: CallOptions,
  ): Promise<Download>;
  deletePrompt(promptId: string, options?: CallOptions): Promise<void>;
  interrupt(promptId: string, options?: CallOptions): Promise<void>;
  cancelPrompt(promptId: string, options?: CallOptions): Promise<CancelOutcome>;
  free(options?: CallOptions & { unloadModels?: boolean; freeMemory?: boolean }): Promise<void>;
  objectInfo(options?: CallOptions): Promise<ObjectInfo>;
  systemStats(options?: CallOptions): Promise<Record<string, unknown>>;
  features(options?: CallOptions): Promise<Record<string, unknown>>;
  queue(options?: CallOptions): Promise<ServerQueue>;
  uploadImage(
    upload: Upload,
    options?: CallOptions,
  ): Promise<{ name: string; subfolder: string; type: string }>;
  close(): Promise<void>;
}
