import { createHash } from "node:crypto";
import sharp from "sharp";
import { z } from "zod";
import { workflowSchema } from "@genga/comfyui";
import { type ChaosClient } from "./chaos-client.ts";
import { type OutputObservation } from "../history/history.ts";

const outputsSchema = z.object({
  outputs: z.array(
    z.object({
      id: z.string(),
      attempt: z.number(),
      index: z.number(),
      kind: z.enum(["file", "text"]),
      mediaType: z.string(),
      bytes: z.number(),
      sha256: z.string(),
      width: z.number().nullable(),
      height: z.number().nullable(),
      durationMs: z.number().nullable(),
      text: z.string().nullable(),
    }),
  ),
});

/** Downloads and decodes all outputs of a job. */
export async function observeOutputs(client: ChaosClient, jobId: string): Promise<OutputObservation[]> {
  const text = await client.insist("GET", `jobs/${jobId}/outputs`, 200);
  const { outputs } = outputsSchema.parse(JSON.parse(text));
  return await Promise.all(
    outputs.map(async ({ id, ...output }) => ({ ...output, content: await contentOf(client, id) })),
  );
}

async function contentOf(client: ChaosClient, outputId: string): Promise<OutputObservation["content"]> {
  try {
    const bytes = await client.download(outputId);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const nothing = { width: null, height: null, color: null, seeds: [], prefixes: [] };
    if (bytes.subarray(1, 4).toString("latin1") !== "PNG") return { bytes: bytes.length, sha256, ...nothing };
    return { bytes: bytes.length, sha256, ...(await pictureIn(bytes)) };
  } catch (error) {
    return String(error);
  }
}

async function pictureIn(
  bytes: Buffer,
): Promise<{ width: number; height: number; color: number; seeds: number[]; prefixes: string[] }> {
  const picture = sharp(bytes);
  const { data, info } = await picture.clone().removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const [red = 0, green = 0, blue = 0] = data;
  const { comments } = await picture.metadata();
  const graph = comments?.find(({ keyword }) => keyword === "prompt")?.text;
  const nodes = graph === undefined ? [] : Object.values(workflowSchema.parse(JSON.parse(graph)));
  const seeds = nodes.map(({ inputs }) => inputs["seed"]).filter((seed) => typeof seed === "number");
  const prefixes = nodes
    .map(({ inputs }) => inputs["filename_prefix"])
    .filter((prefix) => typeof prefix === "string");
  return {
    width: info.width,
    height: info.height,
    color: (red << 16) | (green << 8) | blue,
    seeds,
    prefixes,
  };
}
