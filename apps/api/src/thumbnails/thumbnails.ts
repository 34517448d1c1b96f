import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { LRUCache } from "lru-cache";
import { RefusedError } from "../http/problem-document.ts";
import { drawThumbnail, hasThumbnail, type ThumbnailFormat, type ThumbnailSize } from "./draw-thumbnail.ts";
import { NoThumbnailError } from "./no-thumbnail.ts";
import { findFfmpeg } from "./read-poster.ts";
import { type ThumbnailCache } from "./thumbnail-cache.ts";

/** Thumbnails that one process draws at once. */
const drawnAtOnce = 2;
/** Further ones wait: so many of one tenant, and so many in all. */
const waitingMax = { ofTenant: 32, inAll: 200 };
/** Larger files are not read. */
const sourceBytesMax = 512 * 1024 * 1024;
/** Files of which none can be made are remembered for a while, so that nobody can have them decoded again and again. */
const failures = { max: 10_000, ttl: 10 * 60_000 };

export interface ThumbnailsParts {
  storage: OutputStorage;
  cache: ThumbnailCache;
  /** The folder of temporary files. */
  folder: string;
  /** Undefined = the one that npm has installed. */
  ffmpegPath: string | undefined;
  log: Logger;
}

export interface WantedThumbnail {
  tenantId: string;
  output: JobOutput;
  size: ThumbnailSize;
  format: ThumbnailFormat;
}

/** Makes thumbnails of outputs, and keeps them. One that is wanted several times at once is drawn once. */
export class Thumbnails {
  readonly #parts: ThumbnailsParts;
  readonly #underWay = new Map<string, Promise<Buffer>>();
  readonly #failed = new LRUCache<string, string>(failures);
  readonly #waitingOf = new Map<string, number>();
  readonly #turns: (() => void)[] = [];
  #drawing = 0;

  constructor(parts: ThumbnailsParts) {
    this.#parts = parts;
  }

  /** The name of a thumbnail: equal files have equal ones. */
  static nameOf({ output, size, format }: Omit<WantedThumbnail, "tenantId">): string {
    return `${output.sha256}-${size}.${format}`;
  }

  /** @throws RefusedError `no-thumbnail`, `too-many-thumbnails`, `output-not-found` @throws StorageError */
  async find(wanted: WantedThumbnail): Promise<Buffer> {
    const { output } = wanted;
    if (output.storageKey === null || !hasThumbnail(output.mediaType))
      throw noThumbnail(`There are thumbnails of pictures and videos; this is ${output.mediaType}.`);
    if (output.bytes > sourceBytesMax) throw noThumbnail(`The file has more than ${sourceBytesMax} bytes.`);
    const name = Thumbnails.nameOf(wanted);
    const failed = this.#failed.get(output.sha256);
    if (failed !== undefined) throw noThumbnail(failed);
    const drawing = this.#underWay.get(name);
    if (drawing !== undefined) return drawing;
    const making = this.#make(name, wanted).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, making);
    return making;
  }

  async #make(name: string, wanted: WantedThumbnail): Promise<Buffer> {
    const { cache, log } = this.#parts;
    const known = await cache.find(name).catch((error: unknown) => {
      log.warn({ err: error }, "a kept thumbnail could not be read; it is drawn again");
      return null;
    });
    if (known !== null) return known;
    const drawn = await this.#inTurn(wanted.tenantId, () => this.#draw(wanted));
    await cache.keep(name, drawn).catch((error: unknown) => {
      log.warn({ err: error }, "a thumbnail could not be kept; it will be drawn again");
    });
    return drawn;
  }

  async #draw({ output, size, format }: WantedThumbnail): Promise<Buffer> {
    const { folder } = this.#parts;
    const path = join(folder, `thumbnail-${randomUUID()}`);
    await mkdir(folder, { recursive: true });
    try {
      await this.#fetch(output, path);
      const ffmpegPath = await findFfmpeg(this.#parts.ffmpegPath);
      return await drawThumbnail(path, output.mediaType, { size, format, ffmpegPath });
    } catch (error) {
      if (!(error instanceof NoThumbnailError)) throw error;
      this.#failed.set(output.sha256, error.message);
      throw noThumbnail(error.message, error);
    } finally {
      await rm(path, { force: true });
    }
  }

  /** The thumbnail is kept under the hash of its file, so the file has to be that file. */
  async #fetch({ storageKey, bytes, sha256 }: JobOutput, path: string): Promise<void> {
    const file = await open(path, "wx", 0o600);
    try {
      const hash = createHash("sha256");
      let read = 0;
      for await (const chunk of await this.#parts.storage.read(storageKey ?? "")) {
        if (!Buffer.isBuffer(chunk)) throw new Error("The storage gave something that is not bytes.");
        read += chunk.length;
        if (read > bytes) break;
        hash.update(chunk);
        await file.write(chunk);
      }
      if (read === bytes && hash.digest("hex") === sha256) return;
    } finally {
      await file.close();
    }
    throw new RefusedError("output-not-found", "The file of this output is no longer what was stored.");
  }

  async #inTurn(tenantId: string, work: () => Promise<Buffer>): Promise<Buffer> {
    const own = this.#waitingOf.get(tenantId) ?? 0;
    if (this.#drawing >= drawnAtOnce) {
      if (own >= waitingMax.ofTenant || this.#turns.length >= waitingMax.inAll) throw tooMany();
      this.#waitingOf.set(tenantId, own + 1);
      await new Promise<void>((resolve) => this.#turns.push(resolve));
      this.#leaveQueue(tenantId);
    } else {
      this.#drawing += 1;
    }
    try {
      return await work();
    } finally {
      // The turn goes on to the next one.
      const next = this.#turns.shift();
      if (next === undefined) this.#drawing -= 1;
      else next();
    }
  }

  #leaveQueue(tenantId: string): void {
    const left = (this.#waitingOf.get(tenantId) ?? 1) - 1;
    if (left === 0) this.#waitingOf.delete(tenantId);
    else this.#waitingOf.set(tenantId, left);
  }
}

function noThumbnail(detail: string, cause?: unknown): RefusedError {
  return new RefusedError("no-thumbnail", detail, { cause });
}

function tooMany(): RefusedError {
  return new RefusedError("too-many-thumbnails", "Too many thumbnails wait to be drawn.", {
    headers: { "retry-after": "2" },
  });
}
