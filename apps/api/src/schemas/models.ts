import { modelKinds } from "@genga/comfyui";
import { z } from "zod";

const serverSchema = z.object({
  id: z.uuid(),
  name: z.string(),
  url: z.string().optional().describe("Shown to keys of the role operate."),
});

/** A page of what the servers have. */
export const modelsViewSchema = z.object({
  models: z.array(
    z.object({
      kind: z.enum(modelKinds),
      name: z.string().describe("As graphs and parameters name it."),
      serversCount: z.int().describe("How many servers have it."),
      servers: z.array(serverSchema).describe("Some of these servers, at most 20."),
    }),
  ),
  kinds: z
    .array(z.object({ kind: z.enum(modelKinds), count: z.int() }))
    .describe("How many names of each kind match, on all pages together."),
  serversKnown: z
    .int()
    .describe("How many servers' definitions are known. While there are none, nothing is listed."),
  nextCursor: z.string().nullable(),
});
