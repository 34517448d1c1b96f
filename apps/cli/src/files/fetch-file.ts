import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { type GengaClient, GengaError, type Output } from "@genga/client";

/**
 * Downloads an output to a file, which has this name only when it is whole and has the announced content. What an earlier, interrupted
 * call has left beside it (`.part`) is gone on with.
 * @returns whether it was there already, whole
 * @throws GengaError  @throws Error of the file system
 */
export async function fetchFile(
  client: GengaClient,
  output: Output,
  path: string,
  signal: AbortSignal,
): Promise<{ wasThere: boolean }> {
  if ((await sizeOf(path)) === output.bytes && (await sha256Of(path)) === output.sha256)
    return { wasThere: true };
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const have = await sizeOf(part);
  const isUsable = have !== undefined && have > 0 && have < output.bytes;
  try {
    const already = isUsable ? { have: { bytes: have, content: createReadStream(part) } } : {};
    const { body } = await client.download(output, { signal, ...already });
    await pipeline(body, createWriteStream(part, { flags: isUsable ? "a" : "w" }));
  } catch (error) {
    // What was left is of another file, or was damaged.
    if (error instanceof GengaError && error.code === "content-mismatch") await rm(part, { force: true });
    throw error;
  }
  await rename(part, path);
  return { wasThere: false };
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
