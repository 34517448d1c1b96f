import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { LRUCache } from "lru-cache";
import pTimeout from "p-timeout";
import { RefusedError } from "../http/problem-document.ts";
import { DrawingTurns } from "./drawing-turns.ts";
import { drawThumbnail, hasThumbnail, type ThumbnailFormat, type ThumbnailSize } from "./draw-thumbnail.ts";
import { NoThumbnailError } from "./no-thumbnail.ts";
import { findFfmpeg } from "./read-poster.ts";
import { type ThumbnailCache } from "./thumbnail-cache.ts";

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

/** A thumbnail that is being made, and how many requests wait for it. */
interface UnderWay {
  readonly making: Promise<Buffer>;
  /** Aborted when nobody waits any more before the drawing has begun. */
  readonly abandoned: AbortController;
  /** Whether the drawing has begun. */
  isDrawn: boolean;
  waiting: number;
}

/**
 * Makes thumbnails of outputs, and keeps them. One that a tenant wants several times at once is drawn once, and one that
 * nobody waits for any more is not begun.
 */
export class Thumbnails {
  readonly #parts: ThumbnailsParts;
  readonly #underWay = new Map<string, UnderWay>();
  readonly #failed = new LRUCache<string, string>(failures);
  readonly #turns = new DrawingTurns();

  constructor(parts: ThumbnailsParts) {
    this.#parts = parts;
  }

  /** The name of a thumbnail: equal files have equal ones. */
  static nameOf({ output, size, format }: Omit<WantedThumbnail, "tenantId">): string {
    return `${output.sha256}-${size}.${format}`;
  }

  /**
   * @param signal aborted when the client has left
   * @throws RefusedError `no-thumbnail`, `too-many-thumbnails`, `output-not-found` @throws StorageError, or the reason of
   * the signal
   */
  async find(wanted: WantedThumbnail, signal: AbortSignal): Promise<Buffer> {
    const { output } = wanted;
    if (output.storageKey === null || !hasThumbnail(output.mediaType))
      throw noThumbnail(`There are thumbnails of pictures and videos; this is ${output.mediaType}.`);
    if (output.bytes > sourceBytesMax) throw noThumbnail(`The file has more than ${sourceBytesMax} bytes.`);
    const name = Thumbnails.nameOf(wanted);
    const failed = this.#failed.get(output.sha256);
    if (failed !== undefined) throw noThumbnail(failed);
    // Each tenant has turns of its own, so a thumbnail that another tenant waits for, too, is made twice.
    const key = `${wanted.tenantId} ${name}`;
    const underWay = this.#underWay.get(key) ?? this.#begin(key, name, wanted);
    underWay.waiting += 1;
    try {
      return await pTimeout(underWay.making, { milliseconds: Infinity, signal });
    } finally {
      underWay.waiting -= 1;
      if (underWay.waiting === 0) this.#abandon(key, underWay);
    }
  }

  #begin(key: string, name: string, wanted: WantedThumbnail): UnderWay {
    const abandoned = new AbortController();
    const underWay: Omit<UnderWay, "making"> = { abandoned, isDrawn: false, waiting: 0 };
    const making = this.#make(name, wanted, underWay).finally(() => {
      if (this.#underWay.get(key) === begun) this.#underWay.delete(key);
    });
    const begun = Object.assign(underWay, { making });
    // When all who waited have left.
    making.catch(() => undefined);
    this.#underWay.set(key, begun);
    return begun;
  }

  /** Drawing cannot be stopped: those who come meanwhile join it. */
  #abandon(key: string, underWay: UnderWay): void {
    if (underWay.isDrawn) return;
    if (this.#underWay.get(key) === underWay) this.#underWay.delete(key);
    underWay.abandoned.abort();
  }

  async #make(name: string, wanted: WantedThumbnail, underWay: Omit<UnderWay, "making">): Promise<Buffer> {
    const { cache, log } = this.#parts;
    const known = await cache.find(name).catch((error: unknown) => {
      log.warn({ err: error }, "a kept thumbnail could not be read; it is drawn again");
      return null;
    });
    if (known !== null) return known;
    const abandoned = underWay.abandoned.signal;
    const drawn = await this.#turns.take(wanted.tenantId, abandoned, () => {
      abandoned.throwIfAborted();
      underWay.isDrawn = true;
      return this.#draw(wanted);
    });
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
}

function noThumbnail(detail: string, cause?: unknown): RefusedError {
  return new RefusedError("no-thumbnail", detail, { cause });
}
