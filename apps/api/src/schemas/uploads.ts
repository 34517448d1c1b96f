import { z } from "zod";

const fields = {
  id: z.string().describe("The value for initImage and mask."),
  name: z
    .string()
    .describe("The value for the loaders of a raw workflow: LoadImage's `image`, LoadVideo's `file`."),
  sha256: z.string(),
  mediaType: z.string(),
  bytes: z.int(),
  width: z.int(),
  height: z.int(),
  frames: z.int().nullable().describe("1 of a still picture; null where an earlier version took it."),
  durationMs: z.int().nullable().describe("Of an animation or a video."),
  createdAt: z.string(),
  links: z.record(z.string(), z.url()),
};

/** The answer about an upload. */
export const uploadViewSchema = z.object({
  ...fields,
  others: z
    .array(z.object(fields))
    .optional()
    .describe("The other files of a form with several, in its order."),
});
