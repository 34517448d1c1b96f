import { type JobOutput } from "@genga/jobs";
import { z } from "zod";
import { hasThumbnail } from "../thumbnails/draw-thumbnail.ts";
import { prefix } from "../http/paths.ts";

export const outputViewSchema = z.object({
  id: z.string(),
  jobId: z.string(),
  attempt: z.int(),
  index: z.int(),
  nodeId: z.string(),
  key: z.string().describe("The key under which the node listed it: images, gifs, text, …"),
  kind: z.enum(["file", "text"]),
  filename: z.string().nullable(),
  mediaType: z.string(),
  bytes: z.int(),
  sha256: z.string(),
  width: z.int().nullable(),
  height: z.int().nullable(),
  durationMs: z.int().nullable(),
  text: z.string().nullable(),
  createdAt: z.iso.datetime(),
  links: z.object({ content: z.url(), sign: z.url(), job: z.url(), thumbnail: z.url().optional() }),
});

export type OutputView = z.infer<typeof outputViewSchema>;

export function viewOfOutput(output: JobOutput, baseUrl: string): OutputView {
  const api = `${baseUrl}${prefix}`;
  return {
    id: output.id,
    jobId: output.jobId,
    attempt: output.attempt,
    index: output.index,
    nodeId: output.nodeId,
    key: output.key,
    kind: output.kind,
    filename: output.filename,
    mediaType: output.mediaType,
    bytes: output.bytes,
    sha256: output.sha256,
    width: output.width,
    height: output.height,
    durationMs: output.durationMs,
    text: output.text,
    createdAt: output.createdAt.toISOString(),
    links: {
      content: `${api}/outputs/${output.id}`,
      sign: `${api}/outputs/${output.id}/links`,
      job: `${api}/jobs/${output.jobId}`,
      ...(hasThumbnail(output.mediaType) && { thumbnail: `${api}/outputs/${output.id}/thumbnail` }),
    },
  };
}
