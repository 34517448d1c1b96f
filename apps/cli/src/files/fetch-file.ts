import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { link, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { type GengaClient, GengaError, type Output } from "@genga/client";
import { numbered } from "./file-names.ts";

export interface FetchedFile {
  readonly path: string;
  /** It was there already, whole. */
  readonly wasThere: boolean;
}

/**
 * Downloads an output to a file, which has its name only when it is whole and has the announced content. What an earlier, interrupted
 * call has left beside it (`.part`) is gone on with. No other file is replaced: where the name is taken by another content, or by
 * another output of this call, the file gets a number, and finds itself under it the next time.
 * @param mayTake whether a path is free in this call, and takes it
 * @throws GengaError  @throws Error of the file system
 */
export async function fetchFile(
  client: GengaClient,
  output: Output,
  { path, mayTake, signal }: { path: string; mayTake: (path: string) => boolean; signal: AbortSignal },
): Promise<FetchedFile> {
  await mkdir(dirname(path), { recursive: true });
  let count = 0;
  const next = async (): Promise<FetchedFile> => {
    for (;;) {
      count += 1;
      const candidate = numbered(path, count);
      if (!mayTake(candidate)) continue;
      const size = await sizeOf(candidate);
      if (size === undefined) return { path: candidate, wasThere: false };
      if (size === output.bytes && (await sha256Of(candidate)) === output.sha256)
        return { path: candidate, wasThere: true };
    }
  };
  const chosen = await next();
  if (chosen.wasThere) return chosen;
  const part = await downloadPart(client, output, chosen.path, signal);
  for (let found = chosen; ; found = await next()) {
    if (found.wasThere) await rm(part);
    if (found.wasThere || (await takeName(part, found.path))) return found;
  }
}

/**
 * @returns a file of this process alone with the whole content. A leftover is taken by renaming it, so that two processes never write
 *   to the same file; what this one leaves when it is cut off has the common name again.
 */
async function downloadPart(
  client: GengaClient,
  output: Output,
  path: string,
  signal: AbortSignal,
): Promise<string> {
  const left = `${path}.part`;
  const own = `${path}.${randomUUID().slice(0, 8)}.part`;
  await rename(left, own).catch(() => undefined);
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
  }
}

/** @returns false if another file has the name meanwhile */
async function takeName(part: string, path: string): Promise<boolean> {
  try {
    // Unlike a rename, it replaces nothing.
    await link(part, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // Some file systems have no links.
    await rename(part, path);
    return true;
  }
  await rm(part);
  return true;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
