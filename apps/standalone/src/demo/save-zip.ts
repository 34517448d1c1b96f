import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type GengaClient } from "@genga/client";

/**
 * Saves all outputs of a batch as one zip, under its name only once it is whole.
 * @throws GengaError, or the error of the connection or the file
 */
export async function saveZip(
  client: GengaClient,
  batchId: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const { data } = await client.http.GET("/api/anime/batches/{id}/outputs.zip", {
    ...{ params: { path: { id: batchId } }, parseAs: "stream", signal },
  });
  if (data === null || data === undefined) throw new Error("The API sent a zip without content.");
  const draft = `${path}.part`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await pipeline(Readable.fromWeb(data), createWriteStream(draft), { signal });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
