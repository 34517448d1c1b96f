import { uploadMediaTypes, type Upload } from "@genga/jobs";
import { type Upload as UploadRow } from "../generated/client.ts";

export function uploadFromRow(row: UploadRow): Upload {
  const { id, tenantId, sha256, bytes, width, height, frames, durationMs, blake3, createdAt } = row;
  const mediaType = uploadMediaTypes.find((type) => type === row.mediaType);
  if (mediaType === undefined)
    throw new Error(`The upload ${row.id} is of the unknown kind ${row.mediaType}.`);
  return { id, tenantId, sha256, mediaType, bytes, width, height, frames, durationMs, blake3, createdAt };
}
