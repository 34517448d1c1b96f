import { buffer } from "node:stream/consumers";
import { ComfyUIError, type ComfyUIConnector, type UploadedImage, type Workflow } from "@genga/comfyui";
import { type OutputStorage, readUploadName, StorageError } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import pRetry from "p-retry";
import { DependencyOutputError, type InputFile } from "./input-files.ts";
import { type ServerNames } from "./server-names.ts";
import { storageRetries } from "./storage-tries.ts";

/** The timeout for reading one image from storage, or sending it to a server, even over a slow line. */
const uploadTimeoutMs = 120_000;

/** For each server this many files are remembered; one that was forgotten is sent again. */
const sentMax = 10_000;
/** The files that each server got over its connection: the requested name → the name that the server gave. */
const sentNames = new WeakMap<ComfyUIConnector, LRUCache<string, string>>();

interface SendOptions {
  connector: ComfyUIConnector;
  storage: OutputStorage;
  names: ServerNames;
  /** Files of other jobs, by the names that the graph has for them. */
  inputs?: ReadonlyMap<string, InputFile>;
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
  const upload = input ?? readUploadName(name);
  const place = input === undefined ? names.uploadPlace(name) : names.filePlace(input);
  if (upload === null || place === null) return name;
  const asked = `${place.subfolder}/${place.filename}`;
  const sent = sentNames.get(connector) ?? new LRUCache<string, string>({ max: sentMax });
  sentNames.set(connector, sent);
  const known = sent.get(asked);
  if (known !== undefined && (await isThere(known, options))) return known;
  const given =
    input === undefined
      ? await connector.uploadImage(
          { bytes: await readUpload(upload.storageKey, options), mediaType: upload.mediaType, ...place },
          { signal, timeoutMs: uploadTimeoutMs },
        )
      : await sendInput(input, place, options);
  // Another file of that name makes the server choose a name of its own (PROTOCOL 8).
  const serverName = given.subfolder === "" ? given.name : `${given.subfolder}/${given.name}`;
  sent.set(asked, serverName);
  return serverName;
}

/** The timeout for sending the file of another job, which may be a long video. */
const inputTimeoutMs = 600_000;

/** Streams the file from the storage to the server. */
async function sendInput(
  { storageKey, bytes, mediaType }: InputFile,
  place: { subfolder: string; filename: string },
  { connector, storage, waitMs, signal }: SendOptions,
): Promise<UploadedImage> {
  const sendOnce = async (): Promise<UploadedImage> => {
    let fault: unknown;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(inputTimeoutMs)]);
    const body = await storage.read(storageKey, undefined, limited);
    body.once("error", (error) => (fault = error));
    try {
      return await connector.uploadFile(
        { body, bytes, mediaType, ...place },
        { signal, timeoutMs: inputTimeoutMs },
      );
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ComfyUIError && error.httpStatus === 413) throw tooLarge(error, bytes);
      throw fault === undefined ? error : asStorageError(fault, storageKey);
    }
  };
  return await pRetry(sendOnce, {
    ...storageRetries({ waitMs, signal }),
    shouldRetry: ({ error }) => error instanceof StorageError && error.retryable,
  });
}

function tooLarge(cause: ComfyUIError, bytes: number): DependencyOutputError {
  return new DependencyOutputError(
    `The server does not take a file of ${bytes} bytes, which the job needs from another one.`,
    { cause },
  );
}

/** While the storage is unavailable, tries again as often as for an output. */
async function readUpload(storageKey: string, { storage, waitMs, signal }: SendOptions): Promise<Buffer> {
  const readOnce = async (): Promise<Buffer> => {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(uploadTimeoutMs)]);
      return await buffer(await storage.read(storageKey, undefined, limited));
    } catch (error) {
      signal.throwIfAborted();
      throw asStorageError(error, storageKey);
    }
  };
  return await pRetry(readOnce, {
    ...storageRetries({ waitMs, signal }),
    shouldRetry: ({ error }) => error instanceof StorageError && error.retryable,
  });
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
