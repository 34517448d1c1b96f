import { uploadName, uploadStorageKey, type Asset, type JobOutput } from "@genga/jobs";
import { type KeepingSettings } from "@genga/runtime";
import { comfyApiPrefix } from "../http/paths.ts";
import { type SentFile } from "../http/send-output.ts";

const minuteMs = 60_000;
const dayMs = 24 * 60 * 60_000;

/** What views of assets depend on beside the rows. */
export interface AssetSurroundings {
  /** Where links begin. */
  baseUrl: string;
  keeping: Pick<KeepingSettings, "retention" | "uploadsUnusedMs">;
}

/** An asset over an upload. */
export function viewOfAsset(
  asset: Asset,
  { baseUrl, keeping }: AssetSurroundings,
  isNew?: boolean,
): Record<string, unknown> {
  const { id, upload, filePath, createdAt } = asset;
  const expiresAt = expiryOf(asset, keeping);
  return {
    ...{ id, hash: upload.blake3 === null ? null : `blake3:${upload.blake3}` },
    ...{ size_bytes: upload.bytes, content_type: upload.mediaType, file_path: filePath },
    ...(isNew !== undefined && { created_new: isNew }),
    created_at: createdAt.toISOString(),
    ...contentUrlOf(id, baseUrl, expiresAt),
    expires_at: expiresAt?.toISOString() ?? null,
  };
}

/** An output as an asset. */
export function viewOfOutputAsset(
  output: JobOutput,
  { baseUrl, keeping }: AssetSurroundings,
): Record<string, unknown> {
  const { id, bytes, filename, createdAt, jobId } = output;
  const expiresAt = expiryOfEnded(createdAt, keeping.retention);
  return {
    ...{ id, hash: null, size_bytes: bytes, content_type: mediaTypeOf(output), file_path: filename },
    created_at: createdAt.toISOString(),
    ...contentUrlOf(id, baseUrl, expiresAt),
    ...{ expires_at: expiresAt?.toISOString() ?? null, job_id: jobId },
  };
}

/** An output as its job lists it. */
export function viewOfComfyOutput(
  output: JobOutput,
  { baseUrl, keeping }: AssetSurroundings,
): Record<string, unknown> {
  const { id, nodeId, filename, bytes, jobId, createdAt } = output;
  return {
    ...{ node_id: nodeId, name: filename ?? `${id}.txt`, type: typeOf(output) },
    ...{ content_type: mediaTypeOf(output), size_bytes: bytes, id, hash: null },
    ...contentUrlOf(id, baseUrl, expiryOfEnded(createdAt, keeping.retention)),
    job_id: jobId,
  };
}

/** An asset over an upload, in the form in which files are sent. */
export function fileOfAsset({ id, upload, filePath, createdAt }: Asset): SentFile {
  const { mediaType, bytes, sha256 } = upload;
  const named = filePath?.split("/").at(-1) ?? "";
  const filename = named === "" ? uploadName(upload).replace(/^.*\//, "") : named;
  const storageKey = uploadStorageKey(upload);
  return { id, kind: "file", filename, mediaType, bytes, sha256, storageKey, text: null, createdAt };
}

/** The time at which the asset may be gone. `null` = there is none, since nothing is removed, or jobs need its upload. */
function expiryOf(
  { expiresAt, usedAt }: Asset,
  { uploadsUnusedMs }: Pick<KeepingSettings, "uploadsUnusedMs">,
): Date | null {
  if (expiresAt !== null || uploadsUnusedMs === null) return expiresAt;
  const unusedAt = new Date(usedAt.getTime() + uploadsUnusedMs);
  return unusedAt < new Date() ? null : unusedAt;
}

/**
 * Until when a job that ended then is kept at least, with its outputs. Where their number or bytes are limited, it may go as soon
 * as others end; clients are promised a minute. `null` = nothing is removed
 */
export function expiryOfEnded(
  endedAt: Date,
  { ageMs, jobs, bytes }: AssetSurroundings["keeping"]["retention"],
): Date | null {
  const aged = ageMs === null ? Infinity : endedAt.getTime() + ageMs;
  const soon = jobs === null && bytes === null ? Infinity : Date.now() + minuteMs;
  const until = Math.min(aged, soon);
  return until === Infinity ? null : new Date(until);
}

/**
 * The URL needs a key as every other does, and works for as long as the asset is there; it is promised for a day at most, so
 * that clients ask again.
 */
function contentUrlOf(
  id: string,
  baseUrl: string,
  expiresAt: Date | null,
): { url: string; url_expires_at: string } {
  const until = Math.min(Date.now() + dayMs, expiresAt?.getTime() ?? Infinity);
  return {
    url: `${baseUrl}${comfyApiPrefix}/assets/${id}/content`,
    url_expires_at: new Date(until).toISOString(),
  };
}

function mediaTypeOf({ kind, mediaType }: JobOutput): string {
  return kind === "text" ? "text/plain" : mediaType;
}

type OutputType = "image" | "video" | "audio" | "text" | "latent" | "file";

function typeOf({ kind, mediaType, filename }: JobOutput): OutputType {
  if (kind === "text") return "text";
  if (filename?.toLowerCase().endsWith(".latent") === true) return "latent";
  const [family = ""] = mediaType.split("/");
  const known = (["image", "video", "audio", "text"] as const).find((type) => type === family);
  return known ?? "file";
}
