import { type PreviewNote, previewMediaTypes, type PreviewPicture, type PreviewWish } from "@genga/jobs";
import { z } from "zod";

/** In a message; more jobs are asked for with the next one. */
const wishedMax = 2_000;
const id = z.string().min(1).max(64);

/** What travels over Redis. It is checked on arrival, because another version of Genga may have sent it. */
export const wishSchema = z.object({
  from: id,
  pictures: z.array(id).max(wishedMax),
  notes: z.array(id).max(wishedMax),
}) satisfies z.ZodType<PreviewWish>;

const pictureSchema = z.object({
  kind: z.literal("picture"),
  jobId: id,
  attempt: z.int(),
  mediaType: z.enum(previewMediaTypes),
  base64: z.base64(),
});
const noteSchema = z.object({
  kind: z.literal("note"),
  jobId: id,
  batchId: id.nullable(),
  tenantId: id,
  attempt: z.int(),
});
export const sentSchema = z.discriminatedUnion("kind", [pictureSchema, noteSchema]);

export function textOfPicture({ jobId, attempt, mediaType, bytes }: PreviewPicture): string {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return JSON.stringify({ kind: "picture", jobId, attempt, mediaType, base64 });
}

export function pictureOf({
  jobId,
  attempt,
  mediaType,
  base64,
}: z.infer<typeof pictureSchema>): PreviewPicture {
  return { jobId, attempt, mediaType, bytes: Buffer.from(base64, "base64") };
}

export function textOfNote({ jobId, batchId, tenantId, attempt }: PreviewNote): string {
  return JSON.stringify({ kind: "note", jobId, batchId, tenantId, attempt });
}
