import { type Json } from "@genga/jobs";
import { z } from "zod";

/** The formats that the worker can strip; `stripMetadata` of packages/storage has a filter for each. */
export const strippedFormats =
  "PNG, JPEG, GIF, WebP, MP4, MOV, WebM, MKV, AVI, FLAC, MP3, Ogg, Opus, M4A, WAV, EXR, SVG, GLB and latents";

/**
 * Options for which outputs are stored, and how; the same for every type of job. They are stored with the parameters,
 * and the worker reads them.
 */
export const outputOptionFields = {
  keepPreviews: z
    .boolean()
    .optional()
    .describe("Store files that nodes mark as temporary (PreviewImage and its like), too."),
  stripMetadata: z
    .boolean()
    .optional()
    .describe(
      "Remove from the files the metadata that shows how they were made: the graph, prompts, texts. Applies to " +
        `${strippedFormats}; others are kept as they are, and a graph that may write such is warned of.`,
    ),
};

export interface OutputOptions {
  keepPreviews: boolean;
  stripMetadata: boolean;
}

const optionsSchema = z.object(outputOptionFields).catch({});

/** The output options in a job's parameters. Parameters of older jobs have none. */
export function outputOptionsOf(parameters: Json): OutputOptions {
  const { keepPreviews = false, stripMetadata = false } = optionsSchema.parse(parameters);
  return { keepPreviews, stripMetadata };
}
