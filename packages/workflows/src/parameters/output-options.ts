import { type Json } from "@genga/jobs";
import { z } from "zod";

/** What the worker can strip; `stripMetadata` of packages/storage has a filter for each. */
export const strippedFormats =
  "PNG, JPEG, GIF, WebP, MP4, MOV, WebM, MKV, AVI, FLAC, MP3, Ogg, Opus, M4A, WAV, EXR, SVG, GLB and latents";

/** What is kept of what the servers make; the same for every type of job. Kept with the parameters, read by the worker. */
export const outputOptionFields = {
  keepPreviews: z
    .boolean()
    .optional()
    .describe("Store files that nodes mark as temporary (PreviewImage and its like), too."),
  stripMetadata: z
    .boolean()
    .optional()
    .describe(
      "Leave out of the files what tells how they were made: the graph, prompts, texts. Of " +
        `${strippedFormats}; others are kept as they are, and a graph that may write such is warned of.`,
    ),
};

export interface OutputOptions {
  keepPreviews: boolean;
  stripMetadata: boolean;
}

const optionsSchema = z.object(outputOptionFields).catch({});

/** What a job's parameters say of its outputs; those of older jobs say nothing. */
export function outputOptionsOf(parameters: Json): OutputOptions {
  const { keepPreviews = false, stripMetadata = false } = optionsSchema.parse(parameters);
  return { keepPreviews, stripMetadata };
}
