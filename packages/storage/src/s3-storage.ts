import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { leaseNumberOfFolder, outputFolderKey, type OutputStorage, type StoredFile } from "@genga/jobs";
import { sweepPartialFolder } from "./partial-files.ts";
import { mapS3Error } from "./s3-errors.ts";
import { mapFileError } from "./storage-errors.ts";
import { assertKey } from "./storage-keys.ts";
import { type FileToStore, storeMeasured } from "./store-measured.ts";

export interface S3StorageOptions {
  /** Of a server other than AWS; AWS's own when there is none. */
  endpoint?: string | undefined;
  region?: string | undefined;
  bucket: string;
  /** Before every key, without a slash at its end; empty = none. */
  prefix: string;
  /** On this machine: files grow here, and are uploaded when they are whole and measured. */
  partialFolder: string;
}

/** A server that does not answer for so long is away. */
const requestTimeoutMs = 30_000;
const connectionTimeoutMs = 5_000;
/** Deletions under way at once. */
const deletionsAtOnce = 8;

/**
 * Outputs in a bucket, which has to exist. Credentials come from where AWS's tools look for them: AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, profiles, roles.
 * @throws StorageError `storage-unavailable`, `storage-refused`: better at the start than at the first output
 */
export async function createS3Storage(options: S3StorageOptions): Promise<S3Storage> {
  const storage = new S3Storage(options);
  await storage.assertWritable();
  return storage;
}

/**
 * `OutputStorage` in an S3 bucket: an object is complete and compared with its checksum before its name exists, since
 * S3 knows no half-written objects.
 */
export class S3Storage implements OutputStorage {
  readonly #client: S3Client;
  readonly #options: S3StorageOptions;

  constructor(options: S3StorageOptions) {
    this.#options = options;
    const { endpoint, region } = options;
    this.#client = new S3Client({
      ...(region !== undefined && { region }),
      // Servers other than AWS have no regions, and no host name for each bucket; newer checksums are unknown to many.
      ...(endpoint !== undefined && { endpoint, region: region ?? "us-east-1", forcePathStyle: true }),
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: { connectionTimeout: connectionTimeoutMs, socketTimeout: requestTimeoutMs },
      // What goes wrong is thrown, and told by whoever catches it.
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    });
  }

  async write(file: FileToStore): Promise<StoredFile> {
    const { partialFolder, bucket } = this.#options;
    const { storageKey, signal } = file;
    return storeMeasured(file, async () => {
      const Key = this.#keyOf(storageKey);
      await makeFolder(partialFolder);
      return {
        partialFolder,
        publish: async (partialPath, { bytes, sha256, mediaType }) => {
          const Body = createReadStream(partialPath);
          const object = {
            ...{ Bucket: bucket, Key, Body, ContentLength: bytes, ContentType: mediaType },
            ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
          };
          try {
            await this.#client.send(
              new PutObjectCommand(object),
              signal === undefined ? {} : { abortSignal: signal },
            );
          } catch (error) {
            throw mapS3Error(error, `store ${storageKey}`);
          } finally {
            Body.destroy();
          }
        },
      };
    });
  }

  async read(storageKey: string, range?: { start: number; end: number }): Promise<Readable> {
    const { Body } = await this.#send(`read ${storageKey}`, () =>
      this.#client.send(
        new GetObjectCommand({
          Bucket: this.#options.bucket,
          Key: this.#keyOf(storageKey),
          ...(range !== undefined && { Range: `bytes=${range.start}-${range.end}` }),
        }),
      ),
    );
    if (!(Body instanceof Readable)) throw new Error("S3 answered without a body.");
    return Body;
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
      return leaseNumber !== null && leaseNumber <= job.leaseNumber && !job.keep.includes(storageKey);
    });
    await this.remove(leftovers);
    return leftovers.length;
  }

  async sweepPartialFiles(olderThanMs: number): Promise<number> {
    await makeFolder(this.#options.partialFolder);
    return sweepPartialFolder(this.#options.partialFolder, olderThanMs);
  }

  /** @throws StorageError `storage-unavailable`, `storage-refused` */
  async assertWritable(): Promise<void> {
    const Key = `${this.#prefix}writable`;
    await this.#send(`write to the bucket ${this.#options.bucket}`, () =>
      this.#client.send(new PutObjectCommand({ Bucket: this.#options.bucket, Key, Body: "yes" })),
    );
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

  async #send<Answer>(intention: string, request: () => Promise<Answer>): Promise<Answer> {
    try {
      return await request();
    } catch (error) {
      throw mapS3Error(error, intention);
    }
  }
}

function ignore(): void {
  // Nothing to tell.
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw mapFileError(error, `open the folder ${path}`);
  }
}
