import { once } from "node:events";
import { ComfyUIError, type ComfyUIConnector, type UploadedImage, type Workflow } from "@genga/comfyui";
import { type OutputStorage, readUploadName, StorageError } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import pRetry from "p-retry";
import { DependencyOutputError, type InputFile } from "./input-files.ts";
import { type ServerNames } from "./server-names.ts";
import { type StoragePatience } from "./storage-patience.ts";
import { storageRetries, storageTriesMax } from "./storage-tries.ts";

/** For each server this many files are remembered; one that was forgotten is sent again. */
const sentMax = 10_000;

/** What is known of a server's input folder, by the requested name of a file. */
interface KnownFiles {
  /** The files that it got over this connection, and the names that it gave them. */
  sent: LRUCache<string, string>;
  /** Files on their way: a second job that needs one waits, instead of sending it again. */
  underWay: Map<string, Promise<unknown>>;
}

/** A server that has another connection may be another server; what it is known to have goes with the connection. */
const knownFiles = new WeakMap<ComfyUIConnector, KnownFiles>();

function knownOf(connector: ComfyUIConnector): KnownFiles {
  const known = knownFiles.get(connector) ?? { sent: new LRUCache({ max: sentMax }), underWay: new Map() };
  knownFiles.set(connector, known);
  return known;
}

interface SendOptions {
  connector: ComfyUIConnector;
  storage: OutputStorage;
  names: ServerNames;
  /** Files of other jobs, by the names that the graph has for them. */
  inputs?: ReadonlyMap<string, InputFile>;
  /** Waits for a storage that cannot be used. */
  patience?: Pick<StoragePatience, "outlasts">;
  /** Half of the first wait between tries. */
  waitMs?: number;
  signal: AbortSignal;
}

/**
 * Makes sure that the server has every upload, and every file of another job, that the graph names, under a name that
 * cannot be guessed, and puts that name into the graph. May take as long as sending a long video takes, so call it before
 * the lease's remaining time is checked.
 * @returns the graph to submit; the given one when it names no uploads
 * @throws ComfyUIError
 * @throws StorageError
 * @throws DependencyOutputError
 */
export async function sendUploads(workflow: Workflow, options: SendOptions): Promise<Workflow> {
  const names = uploadsNamedBy(workflow);
  if (names.size === 0) return workflow;
  const serverNames = new Map<string, string>();
  for (const name of names) serverNames.set(name, await send(name, options));
  return Object.fromEntries(
    Object.entries(workflow).map(([nodeId, node]) => {
      const inputs = Object.entries(node.inputs).map(
        ([input, value]) => [input, renamed(value, serverNames)] as const,
      );
      return [nodeId, { ...node, inputs: Object.fromEntries(inputs) }];
    }),
  );
}

/** The uploads that a graph names, by their public names. */
export function uploadsNamedBy(workflow: Workflow): ReadonlySet<string> {
  return new Set(Object.values(workflow).flatMap(({ inputs }) => uploadNamesIn(inputs)));
}

const noInputs: ReadonlyMap<string, InputFile> = new Map();

/** Also finds names in `{"__value__": …}`, which servers unwrap, and in lists. */
function uploadNamesIn(value: unknown): string[] {
  if (typeof value === "string") return readUploadName(value) === null ? [] : [value];
  return isContainer(value) ? Object.values(value).flatMap(uploadNamesIn) : [];
}

function renamed(value: unknown, serverNames: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") return serverNames.get(value) ?? value;
  if (!isContainer(value) || uploadNamesIn(value).length === 0) return value;
  if (Array.isArray(value)) return value.map((item) => renamed(item, serverNames));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, renamed(item, serverNames)]));
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** @returns the file's name on the server */
async function send(name: string, options: SendOptions): Promise<string> {
  const { connector, names, signal, inputs = noInputs } = options;
  const input = inputs.get(name);
  const place = input === undefined ? names.uploadPlace(name) : names.filePlace(input);
  if (place === null) return name;
  const asked = `${place.subfolder}/${place.filename}`;
  const { sent, underWay } = knownOf(connector);
  for (let other = underWay.get(asked); other !== undefined; other = underWay.get(asked)) {
    // If the other job's sending fails, this job sends the file for itself.
    await endOf(other, signal);
  }
  const known = sent.get(asked);
  if (known !== undefined && (await isThere(known, options))) return known;
  const sending = sendFile(input ?? uploadOf(name), place, options);
  if (!underWay.has(asked)) underWay.set(asked, sending);
  try {
    const given = await sending;
    // Another file of that name makes the server choose a name of its own (PROTOCOL 8).
    const serverName = given.subfolder === "" ? given.name : `${given.subfolder}/${given.name}`;
    sent.set(asked, serverName);
    return serverName;
  } finally {
    if (underWay.get(asked) === sending) underWay.delete(asked);
  }
}

/** Resolves when the other has ended, however. @throws the signal's reason */
async function endOf(other: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const waiting = new AbortController();
  const ended = other.then(
    () => undefined,
    () => undefined,
  );
  const stopped = once(signal, "abort", { signal: waiting.signal }).catch(() => undefined);
  await Promise.race([ended, stopped]);
  waiting.abort();
  signal.throwIfAborted();
}

/** An upload, whose size only the storage knows. */
function uploadOf(name: string): Omit<InputFile, "bytes" | "extension" | "sha256"> {
  const upload = readUploadName(name);
  if (upload === null) throw new Error(`${name} names no upload.`);
  return upload;
}

/** The timeout for sending one file, which may be a long video, even over a slow line. */
const sendTimeoutMs = 600_000;

/** Streams the file from the storage to the server. While the storage is unavailable, tries again as for an output. */
async function sendFile(
  { storageKey, mediaType, bytes: knownBytes }: ReturnType<typeof uploadOf> & { bytes?: number },
  place: { subfolder: string; filename: string },
  { connector, storage, patience, waitMs, signal }: SendOptions,
): Promise<UploadedImage> {
  const sendOnce = async (): Promise<UploadedImage> => {
    let fault: unknown;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(sendTimeoutMs)]);
    const bytes = knownBytes ?? (await storage.bytesOf(storageKey, limited));
    const body = await storage.read(storageKey, undefined, limited);
    body.once("error", (error) => (fault = error));
    try {
      return await connector.uploadFile(
        { body, bytes, mediaType, ...place },
        { signal, timeoutMs: sendTimeoutMs },
      );
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ComfyUIError && error.httpStatus === 413) throw tooLarge(error, bytes);
      throw fault === undefined ? error : asStorageError(fault, storageKey);
    }
  };
  let tries = 0;
  return await pRetry(sendOnce, {
    ...storageRetries({ waitMs, signal }),
    retries: Infinity,
    shouldRetry: async ({ error }) => {
      if (!(error instanceof StorageError) || !error.retryable) return false;
      tries = (await patience?.outlasts(error)) === true ? 0 : tries + 1;
      return tries < storageTriesMax;
    },
  });
}

function tooLarge(cause: ComfyUIError, bytes: number): DependencyOutputError {
  return new DependencyOutputError(
    `The server does not take a file of ${bytes} bytes, which the job needs.`,
    { cause },
  );
}

/** A file that ended too early, or took too long, may be read completely the next time. */
function asStorageError(error: unknown, storageKey: string): StorageError {
  if (error instanceof StorageError) return error;
  return new StorageError("storage-unavailable", `Could not read ${storageKey} to its end.`, {
    retryable: true,
    cause: error,
  });
}

/** Whether a file that was sent earlier is still on the server: people empty input folders. */
async function isThere(serverName: string, { connector, signal }: SendOptions): Promise<boolean> {
  const cut = serverName.lastIndexOf("/");
  const file = { filename: serverName.slice(cut + 1), subfolder: serverName.slice(0, Math.max(0, cut)) };
  try {
    const { body } = await connector.downloadOutput({ ...file, type: "input" }, { signal });
    body.destroy();
    return true;
  } catch (error) {
    if (error instanceof ComfyUIError && error.code === "output_missing") return false;
    throw error;
  }
}
