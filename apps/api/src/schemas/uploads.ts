import { z } from "zod";

/** What an upload is answered with. */
export const uploadViewSchema = z.object({
  id: z.string().describe("For initImage and mask."),
  name: z.string().describe("For the loaders of a raw workflow: LoadImage's `image`."),
  sha256: z.string(),
  mediaType: z.string(),
  bytes: z.int(),
  width: z.int(),
  height: z.int(),
  createdAt: z.string(),
  links: z.record(z.string(), z.url()),
});
