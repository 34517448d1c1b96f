import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, type ObjectInfo } from "@genga/comfyui";
import { InvalidJobError, type JobProblem, type JobType, type Json } from "@genga/jobs";
import { createWorkflowResolver } from "@genga/workflows";
import { coreNodes, everything, modelFiles, serverWith, withList, withModels } from "./recorded-servers.ts";

const older = withModels(everything);
const components = {
  ...{ vae: modelFiles.vaes[1]!, width: 512, height: 512 },
  components: { unet: modelFiles.unets[0]!, textEncoders: [modelFiles.textEncoders[0]!] },
};

async function problemsOf(
  type: JobType,
  parameters: Record<string, Json>,
  ...servers: ObjectInfo[]
): Promise<JobProblem[]> {
  const known = servers.map((each, index) => serverWith(String(index), each));
  const resolver = createWorkflowResolver({ definitions: () => Promise.resolve(known) });
  try {
    await resolver.resolve(type, { prompt: "a cat", ...parameters });
    return [];
  } catch (error) {
    if (error instanceof InvalidJobError) return error.problems;
    throw error;
  }
}

/** In the shape that newer servers give a list, too. */
function asCombo(objectInfo: ObjectInfo, classType: string, input: string, options: string[]): ObjectInfo {
  const node = objectInfo[classType]!;
  const required = { ...node.input.required, [input]: ["COMBO", { options }] as [string, object] };
  return { ...objectInfo, [classType]: { ...node, input: { ...node.input, required } } } as ObjectInfo;
}

const newcomers: [
  parameter: string,
  value: string,
  classType: string,
  input: string,
  asked: Record<string, Json>,
][] = [
  ["sampler", "newest_sampler", "KSampler", "sampler_name", { sampler: "newest_sampler" }],
  ["scheduler", "newest_scheduler", "KSampler", "scheduler", { scheduler: "newest_scheduler" }],
  ["hiresFix.method", "lanczos", "LatentUpscale", "upscale_method", { hiresFix: { method: "lanczos" } }],
  [
    "components.textEncoderType",
    "newest_model",
    "CLIPLoader",
    "type",
    { ...components, components: { ...components.components, textEncoderType: "newest_model" } },
  ],
  [
    "components.weightType",
    "int4",
    "UNETLoader",
    "weight_dtype",
    {
      ...components,
      components: { ...components.components, textEncoderType: "sd3", weightType: "int4" },
    },
  ],
];

describe("a value that only a newer server has", () => {
  test.each(newcomers)(
    "of %s, %s, is taken from its list",
    async (parameter, value, classType, input, asked) => {
      const withModel = withList(older, "CheckpointLoaderSimple", "ckpt_name", ["x.safetensors"]);
      const model = "components" in asked ? {} : { model: "x.safetensors" };
      const [problem, ...others] = await problemsOf("image", { ...model, ...asked }, withModel);
      expect([problem?.path, problem?.received, others]).toEqual([parameter, value, []]);
      const more = [...(problem!.accepted as string[]), value];
      for (const newer of [
        withList(withModel, classType, input, more),
        asCombo(withModel, classType, input, more),
      ]) {
        expect(await problemsOf("image", { ...model, ...asked }, newer)).toEqual([]);
        expect(await problemsOf("image", { ...model, ...asked }, withModel, newer)).toEqual([]);
      }
    },
  );

  test("of Flux 2 brings its canvas with it", async () => {
    const canvas = objectInfoSchema.parse({
      EmptyFlux2LatentImage: coreNodes["EmptySD3LatentImage"] ?? coreNodes["EmptyLatentImage"],
    });
    const newer = { ...withList(older, "CLIPLoader", "type", ["flux2"]), ...canvas };
    const asked = { ...components, components: { ...components.components, textEncoderType: "flux2" } };
    expect(await problemsOf("image", asked, older, newer)).toEqual([]);
    expect(await problemsOf("image", asked, withList(older, "CLIPLoader", "type", ["flux2"]))).toMatchObject([
      { path: "components.textEncoderType", code: "unknown-node-class", received: "EmptyFlux2LatentImage" },
    ]);
  });
});

describe("a window of frames", () => {
  const video = { durationSeconds: 8, fps: 8 };
  const modules = ["mm_sd_v15_v2.ckpt", "mm_sd_v15.ckpt", "AnimateLCM_sd15_t2v.ckpt", "long_mm_64.ckpt"];
  const server = withList(older, "ADE_AnimateDiffLoaderGen1", "model_name", modules);

  test.each([
    ["mm_sd_v15_v2.ckpt", 32, 33],
    ["mm_sd_v15.ckpt", 24, 25],
    ["AnimateLCM_sd15_t2v.ckpt", 64, 65],
  ])(
    "may be as long as %s is known to see, %d, and no longer",
    async (motionModel, contextLength, longer) => {
      const resolver = createWorkflowResolver({
        definitions: () => Promise.resolve([serverWith("a", server)]),
      });
      const asked = { prompt: "a cat", ...video, motionModel };
      expect((await resolver.resolve("video", { ...asked, contextLength })).warnings).toEqual([]);
      expect(
        await problemsOf("video", { ...video, motionModel, contextLength: longer }, server),
      ).toMatchObject([{ path: "contextLength", code: "out-of-bounds" }]);
    },
  );

  test("that most motion models are too short for is warned of where the model is not known", async () => {
    const resolver = createWorkflowResolver({
      definitions: () => Promise.resolve([serverWith("a", server)]),
    });
    const asked = { prompt: "a cat", ...video, motionModel: "long_mm_64.ckpt" };
    expect((await resolver.resolve("video", { ...asked, contextLength: 48 })).warnings).toEqual([
      "contextLength: most motion models see 32 frames at once; if long_mm_64.ckpt is one of them, 48 fail on the server.",
    ]);
    expect((await resolver.resolve("video", { ...asked, contextLength: 32 })).warnings).toEqual([]);
  });
});
