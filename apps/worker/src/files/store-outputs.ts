import { createHash } from "node:crypto";
import {
  collectOutputs,
  ComfyUIError,
  type ComfyUIConnector,
  type FileReference,
  type HistoryEntry,
  type OutputReference,
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
import { type StoragePatience } from "./storage-patience.ts";
import { storageRetries, storageTriesMax } from "./storage-tries.ts";

/** The largest output. */
const outputBytesMax = 4 * 2 ** 30;
/** Until then no ComfyUI server has answered: the prompt is finished, so the file is only waited for. */
const awayCodes: ReadonlySet<string> = new Set([
  "server_unreachable",
  "connection_lost",
  "request_timeout",
  "access_denied",
]);

/**
 * How often a server may answer that it does not have a file: the first missing file of a prompt is waited for during 3.5 s and longer
 * if the server was away before. Others are asked for once more.
 */
const missingTriesMax = { first: 4, others: 2 };

interface StoreOutputsOptions {
  connector: ComfyUIConnector;
  storage: OutputStorage;
  lease: JobLease;
  history: HistoryEntry;
  /** The job's options for its outputs. */
  wanted: OutputOptions;
  /** The names of the files on the server, and for clients. */
  names: ServerNames;
  /** Turns a text from the server into one that clients may read. */
  shownText: (text: string) => string;
  /**
   * A file that the server cannot serve, or that is empty, is no failure: a text with its name takes its place. A client of ComfyUI's
   * protocol hears of such files as from a server.
   */
  mayMiss?: boolean;
  /** How long a file is waited for that the server does not serve. */
  graceMs: number;
  /** Waits for a storage that cannot be used. */
  patience?: Pick<StoragePatience, "outlasts">;
  /** Half of the first wait between tries. */
  waitMs?: number;
  signal: AbortSignal;
}

/**
 * Stores all files and texts of a finished prompt, always in the same order. The keys of files contain the lease
 * number, and files become visible only when the database names them.
 * @throws ComfyUIError
 * @throws StorageError the stored files are removed again
 */
export async function storeOutputs(options: StoreOutputsOptions): Promise<NewOutput[]> {
  const references = storedReferences(options.history, options.wanted);
  const outputs: NewOutput[] = [];
  let triesMax = missingTriesMax.first;
  try {
    for (const [index, reference] of references.entries()) {
      if (reference.kind === "text") {
        outputs.push(textOutput(reference.nodeId, reference.key, index, options.shownText(reference.text)));
        continue;
      }
      const output = await storeFile({ ...options, reference, index, missingTriesMax: triesMax });
      outputs.push(output);
      if (output.kind === "text" && reference.orText === undefined) triesMax = missingTriesMax.others;
    }
  } catch (error) {
    await removeOutputs(options.storage, outputs);
    throw error;
  }
  return outputs;
}

/** What of a prompt's outputs is stored, in the order in which it is stored. */
export function storedReferences(
  history: HistoryEntry,
  { keepPreviews }: Pick<OutputOptions, "keepPreviews">,
): OutputReference[] {
  return collectOutputs(history.outputs)
    .filter(
      (reference) =>
        reference.kind === "text" ||
        reference.type === "output" ||
        (reference.type === "temp" && keepPreviews),
    )
    .sort((one, other) => one.nodeId.localeCompare(other.nodeId, "en", { numeric: true }));
}

/** Removes the files that a run stored, when its lease turns out to be lost. */
export async function removeOutputs(storage: OutputStorage, outputs: NewOutput[]): Promise<void> {
  try {
    await storage.remove(outputs.flatMap((output) => output.storageKey ?? []));
  } catch (error) {
    // Files without a row are invisible, and the error that led here is more important.
    if (!(error instanceof StorageError)) throw error;
  }
}

async function storeFile(
  options: StoreOutputsOptions & { reference: FileReference; index: number; missingTriesMax: number },
): Promise<NewOutput> {
  const { connector, storage, lease, reference, index, wanted, names, graceMs, waitMs, signal } = options;
  const filename = names.shownFilename(reference);
  const storageKey = outputStorageKey({ ...lease, index, filename });
  const { nodeId, key } = reference;
  const orText = reference.orText ?? (options.mayMiss === true ? filename : undefined);
  const storeOnce = async (): Promise<NewOutput> => {
    const download = await connector.downloadOutput(reference, { signal });
    const whole = requireWhole(download.body);
    const body = wanted.stripMetadata ? stripMetadata(whole) : renameInMetadata(whole, options.shownText);
    const file = await storage.write({ storageKey, body, bytesMax: outputBytesMax, signal });
    return { ...file, nodeId, key, index, kind: "file", filename, text: null };
  };
  let failingSince: number | null = null;
  let missingTries = 0;
  let tries = 0;
  try {
    return await pRetry(storeOnce, {
      ...storageRetries({ waitMs, signal }),
      retries: Infinity,
      shouldRetry: async ({ error }) => {
        signal.throwIfAborted();
        if (orText !== undefined && isMissing(error)) {
          // A proxy in front of the server may answer 404 while the server restarts.
          missingTries += 1;
          return reference.orText === undefined && missingTries < options.missingTriesMax;
        }
        if ((await options.patience?.outlasts(error)) === true) {
          tries = 0;
          failingSince = null;
          return true;
        }
        tries += 1;
        failingSince ??= performance.now();
        // The prompt is finished, so a server that is unavailable is waited for.
        const isWorthWaiting = isAway(error) && performance.now() - failingSince < graceMs;
        return isWorthWaiting || (tries < storageTriesMax && mayHelpToRepeat(error));
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
  if (error instanceof StorageError) return error.code === "output-empty";
  return error instanceof ComfyUIError && error.code === "output_missing";
}

function mayHelpToRepeat(error: unknown): boolean {
  if (error instanceof StorageError) return error.retryable;
  return error instanceof ComfyUIError && error.errorClass === "server";
}

/**
 * Adds to a storage error the file and the node. A server that still answers with an error of its own after all tries
 * cannot serve this file, and rendering it again would not help.
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
