import { z } from "zod";

/** The answer about an upload. */
export const uploadViewSchema = z.object({
  id: z.string().describe("The value for initImage and mask."),
  name: z.string().describe("The value for the loaders of a raw workflow: LoadImage's `image`."),
  sha256: z.string(),
  mediaType: z.string(),
  bytes: z.int(),
  width: z.int(),
  height: z.int(),
  createdAt: z.string(),
  links: z.record(z.string(), z.url()),
});
