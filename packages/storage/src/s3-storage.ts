import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { addAbortSignal, Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { leaseNumberOfFolder, outputFolderKey, type OutputStorage, type StoredFile } from "@genga/jobs";
import { assertFolderWritable, freeBytesOf, makeFolder, sweepPartialFolder } from "./partial-files.ts";
import { mapS3Error } from "./s3-errors.ts";
import { mapFileError } from "./storage-errors.ts";
import { assertKey, isKey } from "./storage-keys.ts";
import {
  type FileToCheck,
  type FileToStore,
  type PublishedFile,
  storeChecked,
  storeMeasured,
  type StoringPlace,
} from "./store-measured.ts";

export interface S3StorageOptions {
  /** The URL of a server other than AWS; absent for AWS. */
  endpoint?: string | undefined;
  region?: string | undefined;
  bucket: string;
  /** The prefix of every key, without a slash at its end; empty for none. */
  prefix: string;
  /** Whether links may lead to the bucket; absent = they may. */
  linksTo?: "bucket" | "api" | undefined;
  /** The URL under which clients reach the bucket's server, if it is not `endpoint`. */
  publicUrl?: string | undefined;
  /** A local folder where files are written before they are uploaded complete and measured. */
  partialFolder: string;
  /** Set only by tests, to a shorter time. */
  silenceMs?: number;
}

/**
 * The server counts as unavailable after this long without an answer to a read, or without any byte for another
 * request.
 */
const defaultSilenceMs = 30_000;
const connectionTimeoutMs = 5_000;
/** At most this many connections for reads; each slow reader holds one. */
const readersMax = 1_000;
/** At most this many deletions run at once. */
const deletionsAtOnce = 8;

/**
 * Opens a storage for outputs in a bucket, which must exist. Credentials are found in the same way as by AWS's tools:
 * AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profiles, roles.
 * @throws StorageError `storage-unavailable`, `storage-refused`; the storage is tried now, so that a fault shows at the
 * start and not at the first output
 */
export async function createS3Storage(options: S3StorageOptions): Promise<S3Storage> {
  const storage = new S3Storage(options);
  await storage.assertWritable();
  return storage;
}

/**
 * `OutputStorage` in an S3 bucket: an object becomes visible only when it is complete and its checksum was compared,
 * because S3 never shows half-written objects.
 */
export class S3Storage implements OutputStorage {
  readonly #client: S3Client;
  /**
   * The client for reads. It limits only the wait for the first byte, because a slow reader may pause the body for any
   * time.
   */
  readonly #reader: S3Client;
  /** Signs links for the address under which clients reach the bucket. */
  readonly #linker: S3Client;
  readonly #options: S3StorageOptions;

  constructor(options: S3StorageOptions) {
    this.#options = options;
    const { endpoint, region, silenceMs = defaultSilenceMs } = options;
    const common: S3ClientConfig = {
      ...(region !== undefined && { region }),
      // Servers other than AWS have no regions and no host name for each bucket, and many do not know the newer
      // checksums.
      ...(endpoint !== undefined && { endpoint, region: region ?? "us-east-1", forcePathStyle: true }),
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      // The client logs nothing, because its errors are thrown and the callers log them.
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    };
    const { publicUrl = endpoint } = options;
    this.#linker = new S3Client({
      ...common,
      ...(publicUrl !== undefined && {
        endpoint: publicUrl,
        region: region ?? "us-east-1",
        forcePathStyle: true,
      }),
    });
    const connectionTimeout = connectionTimeoutMs;
    this.#client = new S3Client({
      ...common,
      requestHandler: { connectionTimeout, socketTimeout: silenceMs },
    });
    const agent = { maxSockets: readersMax };
    this.#reader = new S3Client({
      ...common,
      requestHandler: {
        ...{ connectionTimeout, socketTimeout: 0, requestTimeout: silenceMs, throwOnRequestTimeout: true },
        ...{ httpAgent: agent, httpsAgent: agent },
      },
    });
  }

  async write(file: FileToStore): Promise<StoredFile> {
    const { storageKey, signal } = file;
    return storeMeasured(file, () => {
      this.#keyOf(storageKey);
      return this.#place(signal);
    });
  }

  async writeChecked(file: FileToCheck): Promise<void> {
    await storeChecked(file, () => this.#place(file.signal));
  }

  async #place(signal: AbortSignal | undefined): Promise<StoringPlace> {
    const { partialFolder } = this.#options;
    await makeFolder(partialFolder);
    return { partialFolder, publish: (partialPath, stored) => this.#upload(partialPath, stored, signal) };
  }

  async bytesOf(storageKey: string, signal?: AbortSignal): Promise<number> {
    const object = { Bucket: this.#options.bucket, Key: this.#keyOf(storageKey) };
    const options = signal === undefined ? {} : { abortSignal: signal };
    const { ContentLength } = await this.#send(
      `read ${storageKey}`,
      () => this.#reader.send(new HeadObjectCommand(object), options),
      signal,
    );
    if (ContentLength === undefined) throw new Error("S3 did not say how large the object is.");
    return ContentLength;
  }

  /** Uploads a finished file. Both the bucket and the disk may fail; each error is mapped by its source. */
  async #upload(path: string, file: PublishedFile, signal?: AbortSignal): Promise<void> {
    const { storageKey, bytes, sha256, mediaType } = file;
    const Key = this.#keyOf(storageKey);
    const Body = createReadStream(path);
    const broken = new AbortController();
    Body.once("error", (error) => {
      broken.abort(error);
    });
    const object = {
      ...{ Bucket: this.#options.bucket, Key, Body, ContentLength: bytes, ContentType: mediaType },
      ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
    };
    const abortSignal = signal === undefined ? broken.signal : AbortSignal.any([signal, broken.signal]);
    try {
      await this.#client.send(new PutObjectCommand(object), { abortSignal });
    } catch (error) {
      if (broken.signal.aborted) throw mapFileError(broken.signal.reason, `store ${storageKey}`);
      throw mapS3Error(error, `store ${storageKey}`);
    } finally {
      Body.destroy();
    }
  }

  async read(
    storageKey: string,
    range?: { start: number; end: number },
    signal?: AbortSignal,
  ): Promise<Readable> {
    const object = {
      ...{ Bucket: this.#options.bucket, Key: this.#keyOf(storageKey) },
      ...(range !== undefined && { Range: `bytes=${range.start}-${range.end}` }),
    };
    const options = signal === undefined ? {} : { abortSignal: signal };
    const { Body } = await this.#send(
      `read ${storageKey}`,
      () => this.#reader.send(new GetObjectCommand(object), options),
      signal,
    );
    if (!(Body instanceof Readable)) throw new Error("S3 answered without a body.");
    return signal === undefined ? Body : addAbortSignal(signal, Body);
  }

  async linkTo(
    storageKey: string,
    answer: { mediaType: string; contentDisposition: string; expiresInSeconds: number },
  ): Promise<string | null> {
    if (this.#options.linksTo === "api") return null;
    const object = { Bucket: this.#options.bucket, Key: this.#keyOf(storageKey) };
    const { mediaType, contentDisposition, expiresInSeconds: expiresIn } = answer;
    const command = new GetObjectCommand({
      ...{ ...object, ResponseContentType: mediaType, ResponseContentDisposition: contentDisposition },
      ResponseCacheControl: `private, max-age=${expiresIn}`,
    });
    // The signature is made here; the bucket is not asked.
    return this.#send(`link to ${storageKey}`, () => getSignedUrl(this.#linker, command, { expiresIn }));
  }

  async remove(storageKeys: string[]): Promise<void> {
    const keys = storageKeys.map((storageKey) => this.#keyOf(storageKey));
    for (let start = 0; start < keys.length; start += deletionsAtOnce) {
      await Promise.all(
        keys
          .slice(start, start + deletionsAtOnce)
          .map((Key) =>
            this.#send(`remove ${Key}`, () =>
              this.#client.send(new DeleteObjectCommand({ Bucket: this.#options.bucket, Key })),
            ),
          ),
      );
    }
  }

  async removeLeftovers(job: {
    jobId: string;
    leaseNumber: number;
    keep: readonly string[];
  }): Promise<number> {
    const jobKey = outputFolderKey(job.jobId);
    const leftovers = (await this.#listKeys(jobKey)).filter((storageKey) => {
      const leaseNumber = leaseNumberOfFolder(storageKey.slice(jobKey.length + 1).split("/")[0] ?? "");
      const isTheirs = leaseNumber !== null && leaseNumber <= job.leaseNumber && isKey(storageKey);
      return isTheirs && !job.keep.includes(storageKey);
    });
    await this.remove(leftovers);
    return leftovers.length;
  }

  async removeJobs(jobIds: readonly string[]): Promise<void> {
    for (let start = 0; start < jobIds.length; start += deletionsAtOnce) {
      await Promise.all(
        jobIds
          .slice(start, start + deletionsAtOnce)
          .map((jobId) => this.removeLeftovers({ jobId, leaseNumber: Number.MAX_SAFE_INTEGER, keep: [] })),
      );
    }
  }

  async freeBytes(): Promise<number> {
    await makeFolder(this.#options.partialFolder);
    return freeBytesOf(this.#options.partialFolder);
  }

  async sweepPartialFiles(olderThanMs: number): Promise<number> {
    await makeFolder(this.#options.partialFolder);
    return sweepPartialFolder(this.#options.partialFolder, olderThanMs);
  }

  /**
   * Tries every operation that the storage needs of the bucket, and writes to the local folder.
   * @throws StorageError `storage-unavailable`, `storage-refused`, `storage-full`
   */
  async assertWritable(): Promise<void> {
    await assertFolderWritable(this.#options.partialFolder);
    const { bucket: Bucket } = this.#options;
    // The key is unique, because other processes may run the same test.
    const object = { Bucket, Key: `${this.#prefix}writable-${randomUUID()}` };
    const trial = (permission: string): string => `use the bucket ${Bucket}, which takes ${permission}`;
    await this.#send(trial("s3:PutObject"), () =>
      this.#client.send(new PutObjectCommand({ ...object, Body: "yes" })),
    );
    await this.#send(trial("s3:GetObject"), async () => {
      const { Body } = await this.#reader.send(new GetObjectCommand(object));
      await Body?.transformToByteArray();
    });
    await this.#send(trial("s3:ListBucket"), () =>
      this.#client.send(new ListObjectsV2Command({ Bucket, Prefix: object.Key, MaxKeys: 1 })),
    );
    await this.#send(trial("s3:DeleteObject"), () => this.#client.send(new DeleteObjectCommand(object)));
  }

  get #prefix(): string {
    return this.#options.prefix === "" ? "" : `${this.#options.prefix}/`;
  }

  #keyOf(storageKey: string): string {
    assertKey(storageKey);
    return `${this.#prefix}${storageKey}`;
  }

  async #listKeys(folderKey: string): Promise<string[]> {
    const Prefix = `${this.#keyOf(folderKey)}/`;
    const keys: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#send(`list ${folderKey}`, () =>
        this.#client.send(
          new ListObjectsV2Command({
            ...{ Bucket: this.#options.bucket, Prefix },
            ...(ContinuationToken !== undefined && { ContinuationToken }),
          }),
        ),
      );
      for (const { Key } of page.Contents ?? [])
        if (Key !== undefined) keys.push(Key.slice(this.#prefix.length));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    return keys;
  }

  async #send<Answer>(
    intention: string,
    request: () => Promise<Answer>,
    signal?: AbortSignal,
  ): Promise<Answer> {
    try {
      return await request();
    } catch (error) {
      signal?.throwIfAborted();
      throw mapS3Error(error, intention);
    }
  }
}

function ignore(): void {
  // Logs nothing.
}
