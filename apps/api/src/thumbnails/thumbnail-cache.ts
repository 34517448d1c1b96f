import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** A file is marked as used at most this often. */
const markEveryMs = 60 * 60_000;
/** The folder is looked through again after this long, since other processes write into it, too. */
const lookEveryMs = 5 * 60_000;
/** Of the bound, so much may be written between two looks; a look leaves so much room. */
const share = 8;
/** A half-written file of this age belongs to no process any more. */
const partialAgeMs = 60 * 60_000;
const partialFolder = "partial";

/**
 * Small files in a folder that takes no more than about so many bytes: those that were used longest ago go first. Several
 * processes may share the folder. A file appears whole or not at all, and one that goes while it is read is read to its end.
 */
export class ThumbnailCache {
  readonly #folder: string;
  readonly #bytesMax: number;
  #written = 0;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  /** @param bytesMax 0 = nothing is kept */
  constructor({ folder, bytesMax }: { folder: string; bytesMax: number }) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
  }

  /** @param name of hexadecimal digits first @returns `null` when it is not there */
  async find(name: string): Promise<Buffer | null> {
    const path = this.#pathOf(name);
    try {
      const content = await readFile(path);
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > markEveryMs) await utimes(path, new Date(), new Date());
      return content;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async keep(name: string, content: Buffer): Promise<void> {
    if (content.length > this.#bytesMax / share) return;
    const path = this.#pathOf(name);
    const partial = join(this.#folder, partialFolder, randomUUID());
    await mkdir(dirname(partial), { recursive: true });
    await mkdir(dirname(path), { recursive: true });
    try {
      await writeFile(partial, content, { flag: "wx" });
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    this.#written += content.length;
    const isDue = this.#written > this.#bytesMax / share || performance.now() - this.#lookedAt > lookEveryMs;
    if (isDue) await this.shrink();
  }

  /** Removes what was used longest ago, until there is room for what may be written until the next look. */
  shrink(): Promise<void> {
    this.#looking ??= this.#shrink().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #shrink(): Promise<void> {
    [this.#written, this.#lookedAt] = [0, performance.now()];
    await this.#removePartial();
    const files = await this.#list();
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const bytesAfter = this.#bytesMax - this.#bytesMax / share;
    if (bytes <= bytesAfter) return;
    for (const file of files.sort((one, other) => one.usedAt - other.usedAt)) {
      if (bytes <= bytesAfter) return;
      await unlink(file.path).catch(unlessMissing);
      bytes -= file.bytes;
    }
  }

  async #list(): Promise<{ path: string; bytes: number; usedAt: number }[]> {
    const files: { path: string; bytes: number; usedAt: number }[] = [];
    for (const folder of await namesIn(this.#folder)) {
      if (folder === partialFolder) continue;
      for (const name of await namesIn(join(this.#folder, folder))) {
        const path = join(this.#folder, folder, name);
        const facts = await stat(path).catch(unlessMissing);
        if (facts !== undefined) files.push({ path, bytes: facts.size, usedAt: facts.mtimeMs });
      }
    }
    return files;
  }

  /** What processes that died have left half written. */
  async #removePartial(): Promise<void> {
    for (const name of await namesIn(join(this.#folder, partialFolder))) {
      const path = join(this.#folder, partialFolder, name);
      const facts = await stat(path).catch(unlessMissing);
      if (facts !== undefined && Date.now() - facts.mtimeMs > partialAgeMs) await rm(path, { force: true });
    }
  }

  #pathOf(name: string): string {
    return join(this.#folder, name.slice(0, 2), name);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(unlessMissing)) ?? [];
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

function isMissing(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "ENOENT";
}
