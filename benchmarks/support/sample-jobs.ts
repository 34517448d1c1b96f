import { setTimeout as sleep } from "node:timers/promises";
import { startServiceProcess } from "@genga/testing";
import type pg from "pg";
import { z } from "zod";

/** A job by parameters, as the API takes it; `round` and `index` make it another one. */
export function jobByParameters(round: number, index: number): object {
  return {
    type: "image",
    prompt: `round ${round}, shot ${index}: a quiet street at dawn, soft light`,
    negativePrompt: "blurry",
    width: 512,
    height: 512,
    steps: 20,
    seed: round * 1_000_000 + index,
  };
}

/** A job with a text-to-image graph as people export it; only its prompt and seed are its own. */
export function jobByGraph(checkpoint: string, round: number, index: number): object {
  const sampler = { steps: 20, cfg: 7.5, sampler_name: "euler", scheduler: "normal", denoise: 1 };
  const links = { model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] };
  const workflow = {
    "3": {
      class_type: "KSampler",
      inputs: { seed: round * 1_000_000 + index, ...sampler, ...links },
      _meta: { title: "KSampler" },
    },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: 512, height: 512, batch_size: 1 } },
    "6": {
      class_type: "CLIPTextEncode",
      inputs: { text: `round ${round}, shot ${index}: a quiet street at dawn`, clip: ["4", 1] },
      _meta: { title: "Prompt" },
    },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "blurry", clip: ["4", 1] } },
    "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: `shots/${index}` } },
  };
  return { type: "workflow", workflow };
}

/** The first checkpoint that a simulator says it has. */
export async function firstCheckpoint(simulatorUrl: string): Promise<string> {
  const response = await fetch(`${simulatorUrl}/object_info/CheckpointLoaderSimple`);
  const schema = z.object({
    CheckpointLoaderSimple: z.object({ input: z.object({ required: z.record(z.string(), z.unknown()) }) }),
  });
  const { required } = schema.parse(await response.json()).CheckpointLoaderSimple.input;
  const listSchema = z.union([
    z.tuple([z.array(z.string())]).rest(z.unknown()),
    z.tuple([z.literal("COMBO"), z.looseObject({ options: z.array(z.string()) })]),
  ]);
  const list = listSchema.parse(required["ckpt_name"]);
  const [first] = list[0] === "COMBO" ? list[1].options : list[0];
  if (first === undefined) throw new Error("The simulator has no checkpoint.");
  return first;
}

/** Lets a worker read what the server can run, and ends it: in these benchmarks no job is run. */
export async function readDefinitions(database: pg.Client, env: Record<string, string>): Promise<void> {
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  for (let known = 0; known === 0;) {
    await sleep(50);
    const sql = "SELECT count(*)::int AS known FROM servers WHERE definitions_hash IS NOT NULL";
    known = (await database.query<{ known: number }>(sql)).rows[0]?.known ?? 0;
  }
  await worker.stop();
}
