import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { copyFile, mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type GengaClient, GengaError, type Output } from "@genga/client";
import { folded, numbered } from "./file-names.ts";
import { sizeOf, takeName } from "./take-name.ts";

export interface FetchedFile {
  readonly path: string;
  /** It was there already, whole. */
  readonly wasThere: boolean;
}

export interface FetchOptions {
  readonly path: string;
  readonly taken: Set<string>;
  readonly signal: AbortSignal;
  readonly aliveMs?: number;
}

/**
 * Downloads an output to a file, which has its name only when it is whole and has the announced content. What an earlier, interrupted
 * call has left beside it (`.part`) is gone on with. No other file is replaced: where the name is taken by another content, or by
 * another output of this call, the file gets a number, and finds itself under it the next time.
 * @param taken the folded paths of this call; that of the file is added
 * @param aliveMs how often a download says that it is alive; a shorter time is for tests
 * @throws GengaError  @throws Error of the file system
 */
export async function fetchFile(
  client: GengaClient,
  output: Output,
  { path, taken, signal, aliveMs = 20_000 }: FetchOptions,
): Promise<FetchedFile> {
  await mkdir(dirname(path), { recursive: true });
  let count = 0;
  const next = async (): Promise<FetchedFile> => {
    for (;;) {
      count += 1;
      const candidate = numbered(path, count);
      if (taken.has(folded(candidate))) continue;
      const size = await sizeOf(candidate);
      const wasThere = size !== undefined && (await isWhole(candidate, output));
      // The file of another output, perhaps of one that this call comes to later.
      if (size !== undefined && !wasThere) continue;
      taken.add(folded(candidate));
      return { path: candidate, wasThere };
    }
  };
  const chosen = await next();
  if (chosen.wasThere) return chosen;
  const part = await downloadPart(client, output, chosen.path, { signal, aliveMs });
  for (let found = chosen; ; found = await next()) {
    if (found.wasThere) await rm(part, { force: true });
    if (found.wasThere || (await takeName(part, found.path))) return found;
    // Somebody took this process for dead, and perhaps fetched the file in its place.
    if ((await sizeOf(part)) !== undefined) continue;
    if (await isWhole(found.path, output)) return { path: found.path, wasThere: true };
    throw new Error(`What was downloaded for ${found.path} was removed meanwhile; fetch it again.`);
  }
}

async function isWhole(path: string, { bytes, sha256 }: Output): Promise<boolean> {
  return (await sizeOf(path)) === bytes && (await sha256Of(path)) === sha256;
}

/**
 * @returns a file of this process alone with the whole content; two processes never write to the same file. What this one leaves when it
 *   is cut off has the common name again, unless it is killed.
 */
async function downloadPart(
  client: GengaClient,
  output: Output,
  path: string,
  { signal, aliveMs }: { signal: AbortSignal; aliveMs: number },
): Promise<string> {
  const left = `${path}.part`;
  const own = `${path}.${randomUUID().slice(0, 8)}.part`;
  await takeLeftovers(path, { left, own });
  // The time of what was left is an old one.
  await touch(own);
  const alive = setInterval(() => void touch(own), aliveMs);
  const have = (await sizeOf(own)) ?? 0;
  const isUsable = have > 0 && have < output.bytes;
  try {
    const already = isUsable ? { have: { bytes: have, content: createReadStream(own) } } : {};
    const { body } = await client.download(output, { signal, ...already });
    await pipeline(body, createWriteStream(own, { flags: isUsable ? "a" : "w" }));
    return own;
  } catch (error) {
    // What was left is of another file, or was damaged.
    if (error instanceof GengaError && error.code === "content-mismatch") await rm(own, { force: true });
    else await rename(own, left).catch(() => undefined);
    throw error;
  } finally {
    clearInterval(alive);
  }
}

/** A download that brings nothing for minutes, as while the API is away, is alive all the same. There may be no file yet. */
async function touch(path: string): Promise<void> {
  await utimes(path, new Date(), new Date()).catch(() => undefined);
}

/** A process touches what it downloads more often than this, so what was not touched for so long was left by one that is gone. */
const abandonedMs = 120_000;

/** Takes the longest of what earlier calls left of a file, also of those that were killed, and removes the rest. */
async function takeLeftovers(path: string, { left, own }: { left: string; own: string }): Promise<void> {
  const base = basename(path);
  const isLeftover = (name: string): boolean =>
    name.startsWith(base) && /^\.[0-9a-f]{8}\.part$/.test(name.slice(base.length));
  const names = await readdir(dirname(path));
  await rename(left, own).catch(() => undefined);
  for (const name of names.filter(isLeftover)) {
    const old = join(dirname(path), name);
    const found = await stat(old).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < abandonedMs) continue;
    // A copy: should its writer live after all, it does not write to what has a new owner.
    if (found.size > ((await sizeOf(own)) ?? 0)) await copyFile(old, own).catch(() => undefined);
    await rm(old, { force: true });
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
