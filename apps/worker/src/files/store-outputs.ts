import { createHash } from "node:crypto";
import {
  collectOutputs,
  ComfyUIError,
  type ComfyUIConnector,
  type FileReference,
  type HistoryEntry,
} from "@genga/comfyui";
import {
  type JobLease,
  type NewOutput,
  type OutputStorage,
  outputStorageKey,
  StorageError,
} from "@genga/jobs";
import { renameInMetadata, requireWhole, stripMetadata } from "@genga/storage";
import { type OutputOptions } from "@genga/workflows";
import pRetry from "p-retry";
import { type ServerNames } from "./server-names.ts";
import { storageRetries, storageTriesMax } from "./storage-tries.ts";

/** One output may not be larger than this. */
const outputBytesMax = 4 * 2 ** 30;
const awayCodes: ReadonlySet<string> = new Set(["server_unreachable", "connection_lost", "request_timeout"]);

/**
 * Brings all files and texts of a finished prompt under our control, in an order that does not change. Files get names
 * that carry the lease, and become visible only when the database names them.
 * @throws ComfyUIError @throws StorageError the stored part is removed again
 */
export async function storeOutputs(options: {
  connector: ComfyUIConnector;
  storage: OutputStorage;
  lease: JobLease;
  history: HistoryEntry;
  /** What the job asked for. */
  wanted: OutputOptions;
  /** What the files are called on the server, and what clients see of it. */
  names: ServerNames;
  /** What clients may read of a text that the server gave. */
  shownText: (text: string) => string;
  /** A file that the server does not serve is waited for so long. */
  graceMs: number;
  /** Half of the first wait between tries. */
  waitMs?: number;
  signal: AbortSignal;
}): Promise<NewOutput[]> {
  const { keepPreviews } = options.wanted;
  const references = collectOutputs(options.history.outputs)
    .filter(
      (reference) =>
        reference.kind === "text" ||
        reference.type === "output" ||
        (reference.type === "temp" && keepPreviews),
    )
    .sort((one, other) => one.nodeId.localeCompare(other.nodeId, "en", { numeric: true }));
  const outputs: NewOutput[] = [];
  try {
    for (const [index, reference] of references.entries()) {
      outputs.push(
        reference.kind === "text"
          ? textOutput(reference.nodeId, reference.key, index, options.shownText(reference.text))
          : await storeFile({ ...options, reference, index }),
      );
    }
  } catch (error) {
    await removeOutputs(options.storage, outputs);
    throw error;
  }
  return outputs;
}

/** Removes what a run stored when its lease turned out to be lost. */
export async function removeOutputs(storage: OutputStorage, outputs: NewOutput[]): Promise<void> {
  try {
    await storage.remove(outputs.flatMap((output) => output.storageKey ?? []));
  } catch (error) {
    // Files without a row are invisible, and the error that led here matters more.
    if (!(error instanceof StorageError)) throw error;
  }
}

async function storeFile(options: {
  connector: ComfyUIConnector;
  storage: OutputStorage;
  lease: JobLease;
  reference: FileReference;
  index: number;
  wanted: OutputOptions;
  names: ServerNames;
  shownText: (text: string) => string;
  graceMs: number;
  waitMs?: number;
  signal: AbortSignal;
}): Promise<NewOutput> {
  const { connector, storage, lease, reference, index, wanted, names, graceMs, waitMs, signal } = options;
  const filename = names.shownFilename(reference);
  const storageKey = outputStorageKey({ ...lease, index, filename });
  const { nodeId, key, orText } = reference;
  const storeOnce = async (): Promise<NewOutput> => {
    const download = await connector.downloadOutput(reference, { signal });
    const whole = requireWhole(download.body);
    const body = wanted.stripMetadata ? stripMetadata(whole) : renameInMetadata(whole, options.shownText);
    const file = await storage.write({ storageKey, body, bytesMax: outputBytesMax, signal });
    return { ...file, nodeId, key, index, kind: "file", filename, text: null };
  };
  let failingSince: number | null = null;
  try {
    return await pRetry(storeOnce, {
      ...storageRetries({ waitMs, signal }),
      retries: Infinity,
      shouldRetry: ({ error, attemptNumber }) => {
        signal.throwIfAborted();
        if (orText !== undefined && isMissing(error)) return false;
        failingSince ??= performance.now();
        // The render is done, so a server that is away is waited for.
        const isWorthWaiting = isAway(error) && performance.now() - failingSince < graceMs;
        return isWorthWaiting || (attemptNumber < storageTriesMax && mayHelpToRepeat(error));
      },
    });
  } catch (error) {
    signal.throwIfAborted();
    if (orText !== undefined && isMissing(error))
      return textOutput(nodeId, key, index, options.shownText(orText));
    throw named(error, { ...reference, filename });
  }
}

function textOutput(nodeId: string, key: string, index: number, text: string): NewOutput {
  return {
    nodeId,
    key,
    index,
    kind: "text",
    filename: null,
    mediaType: "text/plain; charset=utf-8",
    bytes: Buffer.byteLength(text),
    sha256: createHash("sha256").update(text).digest("hex"),
    width: null,
    height: null,
    durationMs: null,
    storageKey: null,
    text,
  };
}

function isAway(error: unknown): boolean {
  return error instanceof ComfyUIError && awayCodes.has(error.code);
}

function isMissing(error: unknown): boolean {
  return error instanceof ComfyUIError && error.code === "output_missing";
}

function mayHelpToRepeat(error: unknown): boolean {
  if (error instanceof StorageError) return error.retryable;
  return error instanceof ComfyUIError && error.errorClass === "server";
}

/**
 * A storage error says which file of which node it was about. A server that still answers with an error of its own after
 * all tries cannot serve this file; to render it again, for ever, would not help.
 */
function named(error: unknown, reference: FileReference): unknown {
  if (error instanceof ComfyUIError && error.errorClass === "server" && (error.httpStatus ?? 0) >= 500) {
    const message = `The server fails to serve its own output "${reference.filename}" of node ${reference.nodeId}.`;
    return new ComfyUIError("output_missing", message, { cause: error, httpStatus: error.httpStatus });
  }
  if (!(error instanceof StorageError)) return error;
  return new StorageError(
    error.code,
    `Output "${reference.filename}" of node ${reference.nodeId}: ${error.message}`,
    {
      retryable: error.retryable,
      cause: error,
    },
  );
}
