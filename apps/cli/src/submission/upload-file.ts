import { openAsBlob } from "node:fs";
import { type GengaClient } from "@genga/client";
import mime from "mime";
import { UsageError } from "../terminal/exit-codes.ts";
import { type JsonText } from "./json-text.ts";

const id = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;

/**
 * The upload that a job begins with, as JSON: that of a file, which is sent now, or the id of an earlier one.
 * @throws UsageError if there is no such file  @throws GengaError if it is refused
 */
export async function uploadOf(
  given: string | undefined,
  { client, signal, isDryRun }: { client: GengaClient; signal: AbortSignal; isDryRun: boolean },
): Promise<JsonText | undefined> {
  if (given === undefined) return undefined;
  if (id.test(given)) return JSON.stringify(given);
  if (isDryRun)
    throw new UsageError(`--dry-run sends no file; in place of ${given} give the id of an upload.`);
  const mediaType = mime.getType(given);
  if (mediaType === null)
    throw new UsageError(`${given}: the name must end like that of a picture or a video.`);
  let content: Blob;
  try {
    content = await openAsBlob(given, { type: mediaType });
  } catch (error) {
    throw new UsageError(`cannot read ${given}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return JSON.stringify((await client.upload(content, { mediaType, signal })).id);
}
