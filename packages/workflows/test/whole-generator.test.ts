import { describe, expect, test } from "@jest/globals";
import { validateGraph, type ObjectInfo, type Workflow } from "@genga/comfyui";
import { InvalidJobError, uploadName, type JobProblem, type Json } from "@genga/jobs";
import {
  createWorkflowResolver,
  framesOf,
  nativeFamilies,
  parseImageParameters,
  parseVideoParameters,
  WorkflowGenerator,
} from "@genga/workflows";
import fc from "fast-check";
import { meaningOf, nodesOf, sourceOf } from "./graph-meaning.ts";
import { animateDiffSpace, imageSpace, maskImage, nativeSpace, startImage } from "./parameter-space.ts";
import {
  everything,
  modelFiles,
  recordedGraph,
  serverWith,
  withList,
  withModels,
  without,
} from "./recorded-servers.ts";

const server = withModels(everything);
const uploads = new Map([startImage, maskImage].map((upload) => [upload.id, upload]));
const generator = new WorkflowGenerator({ objectInfo: server, uploads: [...uploads.values()] });
const components = {
  components: {
    unet: "flux1-dev.safetensors",
    textEncoders: ["clip_l.safetensors", "t5xxl_fp16.safetensors"],
    guidance: 3.5,
  },
  vae: "ae.safetensors",
};

function refusalOf(action: () => unknown): JobProblem[] {
  try {
    action();
  } catch (error) {
    if (error instanceof InvalidJobError) return error.problems;
    throw error;
  }
  throw new Error("nothing was refused");
}

function onlyNodeOf(graph: Workflow, classType: string): Workflow[string] {
  const found = nodesOf(graph, classType);
  expect(found).toHaveLength(1);
  return found[0]!;
}

const sound = { errors: [], warnings: [] };
const classesOf = (graph: Workflow): string[] => Object.values(graph).map((node) => node.class_type);

describe("graphs that a real server has run", () => {
  const asked = {
    prompt: "1girl, anime, dynamic pose, cinematic lighting",
    negativePrompt: "worst quality, low quality, blurry",
    ...{ seed: 1234, cfg: 7, steps: 4, sampler: "euler", scheduler: "normal" },
    ...{ width: 256, height: 256 },
  };

  test("image to image is the recorded one, at a size that we accept and with a file of ours", () => {
    const graph = generator.createImageWorkflow({ ...asked, initImage: startImage.id, denoise: 0.6 });
    const expected = meaningOf(recordedGraph("sd15-img2img"));
    Object.assign(expected["ImageScale"] as object, { width: 256, height: 256 });
    Object.assign(expected["LoadImage"] as object, { image: uploadName(startImage) });
    expect(meaningOf(graph)).toEqual(expected);
  });

  test("two pictures at once are the recorded ones, at a size that we accept", () => {
    const expected = meaningOf(recordedGraph("sd15-image-128-batch2"));
    Object.assign(expected["EmptyLatentImage"] as object, { width: 256, height: 256 });
    expect(meaningOf(generator.createImageWorkflow({ ...asked, count: 2 }))).toEqual(expected);
  });
});

describe("every set of image parameters", () => {
  test("gives a graph that the recorded server accepts, the same each time, with every value where it belongs", () => {
    fc.assert(
      fc.property(imageSpace, (given) => {
        const image = parseImageParameters(given, uploads);
        const graph = generator.createImageWorkflow(image);
        expect(validateGraph(graph, server)).toEqual(sound);
        expect(generator.createImageWorkflow(image)).toEqual(graph);
        const passes = nodesOf(graph, "KSampler");
        expect(passes).toHaveLength(image.hiresFix === undefined ? 1 : 2);
        expect(passes.map((pass) => pass.inputs["seed"])).toEqual(passes.map(() => image.seed));
        expect(passes[0]!.inputs["steps"]).toBe(image.steps);
        expect(nodesOf(graph, "LoraLoader").map((node) => node.inputs["lora_name"])).toEqual(
          image.loras.map(({ name }) => name),
        );
        expectSize(graph, image);
        const loader = image.components === undefined ? "CheckpointLoaderSimple" : "UNETLoader";
        expect(nodesOf(graph, loader)).toHaveLength(1);
        if (image.vae !== undefined) {
          expect(onlyNodeOf(graph, "VAELoader").inputs["vae_name"]).toBe(image.vae);
          expect(
            sourceOf(graph, sourceOf(graph, nodesOf(graph, "SaveImage")[0], "images"), "vae").class_type,
          ).toBe("VAELoader");
        }
      }),
      { numRuns: 400 },
    );
  });

  function expectSize(graph: Workflow, image: ReturnType<typeof parseImageParameters>): void {
    const { width, height, count } = image;
    if (image.initImage === undefined) {
      const { components: parts } = image;
      const isClassic =
        parts === undefined || ["stable_diffusion", "sdxl"].includes(parts.textEncoderType ?? "flux");
      const empty = isClassic ? "EmptyLatentImage" : "EmptySD3LatentImage";
      expect(onlyNodeOf(graph, empty).inputs).toEqual({ width, height, batch_size: count });
      return;
    }
    expect(nodesOf(graph, "ImageScale")[0]!.inputs).toMatchObject({ width, height });
    expect(onlyNodeOf(graph, "LoadImage").inputs).toEqual({ image: uploadName(startImage) });
    const repeats = nodesOf(graph, "RepeatLatentBatch").map((node) => node.inputs["amount"]);
    expect(repeats).toEqual(count === 1 ? [] : [count]);
    if (image.mask !== undefined) {
      expect(onlyNodeOf(graph, "LoadImageMask").inputs["image"]).toBe(uploadName(maskImage));
    }
  }
});

describe("every set of video parameters", () => {
  test("gives an AnimateDiff graph that the recorded server accepts, the same each time", () => {
    fc.assert(
      fc.property(animateDiffSpace, (given) => {
        const video = parseVideoParameters(given, uploads);
        const graph = generator.createVideoWorkflow(video);
        expect(validateGraph(graph, server)).toEqual(sound);
        expect(generator.createVideoWorkflow(video)).toEqual(graph);
        expect(onlyNodeOf(graph, "KSampler").inputs["seed"]).toBe(video.seed);
        const frames = Math.round(video.durationSeconds * video.fps);
        if (video.initImage === undefined) {
          expect(onlyNodeOf(graph, "EmptyLatentImage").inputs["batch_size"]).toBe(frames);
        } else {
          expect(onlyNodeOf(graph, "RepeatImageBatch").inputs["amount"]).toBe(frames);
        }
        const animated = sourceOf(graph, onlyNodeOf(graph, "KSampler"), "model");
        const isGen2 = video.motionLoader === "gen2";
        expect(animated.class_type).toBe(isGen2 ? "ADE_UseEvolvedSampling" : "ADE_AnimateDiffLoaderGen1");
        expect(sourceOf(graph, animated, "context_options").inputs["context_length"]).toBe(
          video.contextLength,
        );
        const loader = isGen2 ? "ADE_LoadAnimateDiffModel" : "ADE_AnimateDiffLoaderGen1";
        expect(onlyNodeOf(graph, loader).inputs["model_name"]).toBe(video.motionModel);
        expectEnding(graph, video);
      }),
      { numRuns: 300 },
    );
  });

  test("gives a graph of a native family that the recorded server accepts, the same each time", () => {
    fc.assert(
      fc.property(nativeSpace, (given) => {
        const video = parseVideoParameters(given, uploads);
        const graph = generator.createVideoWorkflow(video);
        expect(validateGraph(graph, server)).toEqual(sound);
        expect(generator.createVideoWorkflow(video)).toEqual(graph);
        const lengths = Object.values(graph).flatMap(({ inputs }) =>
          inputs["length"] === undefined ? [] : [inputs["length"]],
        );
        expect(lengths).toEqual([video.durationSeconds * video.fps + 1]);
        expect(framesOf(video)).toBe(lengths[0]);
        expect(onlyNodeOf(graph, "KSampler").inputs["seed"]).toBe(video.seed);
        if (video.initImage !== undefined) {
          expect(onlyNodeOf(graph, "LoadImage").inputs["image"]).toBe(uploadName(startImage));
        }
        expectEnding(graph, video);
      }),
      { numRuns: 200 },
    );
  });

  function expectEnding(graph: Workflow, video: ReturnType<typeof parseVideoParameters>): void {
    const [rate] = Object.values(graph).flatMap(({ inputs }) => inputs["frame_rate"] ?? inputs["fps"] ?? []);
    expect(rate).toBe(video.fps);
    if (video.writer === "core") expect(classesOf(graph)).not.toContain("VHS_VideoCombine");
    if (video.writer === "video-helper-suite") expect(classesOf(graph)).toContain("VHS_VideoCombine");
    const [combine] = nodesOf(graph, "VHS_VideoCombine");
    if (video.stripMetadata === true && combine?.inputs["save_metadata"] !== undefined) {
      expect(combine.inputs["save_metadata"]).toBe(false);
    }
  }
});

describe("what no server has is named by its parameter", () => {
  const nativeNodes = [
    "EmptyHunyuanLatentVideo",
    "Wan22ImageToVideoLatent",
    "EmptyLTXVLatentVideo",
    "LTXVConditioning",
  ];
  const gen2Nodes = ["ADE_LoadAnimateDiffModel", "ADE_ApplyAnimateDiffModelSimple", "ADE_UseEvolvedSampling"];

  async function problemsOf(parameters: Record<string, Json>, objectInfo: ObjectInfo): Promise<JobProblem[]> {
    const type = "fps" in parameters ? "video" : "image";
    const resolver = createWorkflowResolver({
      definitions: () => Promise.resolve([serverWith("a", objectInfo)]),
    });
    try {
      await resolver.resolve(type, { prompt: "a cat", ...parameters });
    } catch (error) {
      if (error instanceof InvalidJobError) return error.problems;
      throw error;
    }
    throw new Error("nothing was refused");
  }

  test.each(nativeFamilies)("nodes of %s", async (family) => {
    const [unet] = modelFiles.unets;
    const textEncoders = family === "hunyuan" ? modelFiles.textEncoders : ["t5xxl_fp16.safetensors"];
    const asked = { fps: 16, family, vae: "ae.safetensors", components: { unet: unet!, textEncoders } };
    const problems = await problemsOf(asked, without(server, ...nativeNodes));
    expect(new Set(problems.map(({ path, code }) => `${path} ${code}`))).toEqual(
      new Set(["family unknown-node-class"]),
    );
  });

  test("a loader", async () => {
    const problems = await problemsOf({ fps: 8, motionLoader: "gen2" }, without(server, ...gen2Nodes));
    expect(new Set(problems.map(({ path }) => path))).toEqual(new Set(["motionLoader"]));
  });

  test.each([
    ["one", ["clip_l.safetensors"], "CLIPLoader", "qwen_image"],
    ["two, of a family that takes one", modelFiles.textEncoders, "DualCLIPLoader", "sdxl"],
  ])("a type of text encoder that was not given: %s", async (_name, textEncoders, loader, known) => {
    const isVideo = textEncoders.length === 2;
    const asked = {
      ...(isVideo ? { fps: 16, family: "wan" } : {}),
      ...{ vae: "ae.safetensors", components: { unet: modelFiles.unets[0]!, textEncoders } },
    };
    const [problem, ...others] = await problemsOf(asked, server);
    expect(others).toEqual([]);
    expect(problem).toMatchObject({ path: "components.textEncoderType", code: "missing-field" });
    expect(problem).not.toHaveProperty("received");
    expect(problem!.accepted).toContain(known);
    const start = `components.textEncoderType was not given, and no known server has ${isVideo ? "wan" : "flux"}, its default, for ${loader}. Give one of: `;
    expect(problem!.message.startsWith(start)).toBe(true);
  });

  test("a default that no server has", async () => {
    const objectInfo = withList(server, "CheckpointLoaderSimple", "ckpt_name", ["one.safetensors"]);
    expect(await problemsOf({}, objectInfo)).toEqual([
      {
        ...{ path: "model", code: "unknown-model", received: "counterfeit_v3.safetensors" },
        accepted: ["one.safetensors"],
        message:
          "model was not given, and no known server has counterfeit_v3.safetensors, its default, for " +
          "CheckpointLoaderSimple. Give one of: one.safetensors.",
      },
    ]);
  });

  test("files of every kind", async () => {
    const nope = "nope.safetensors";
    const problems = await problemsOf(
      {
        vae: nope,
        loras: [{ name: "add_detail.safetensors" }, { name: nope }],
        hiresFix: { upscaler: nope },
        components: { unet: nope, textEncoders: ["clip_l.safetensors", nope] },
      },
      server,
    );
    expect(problems.map(({ path, code }) => `${path} ${code}`).sort()).toEqual(
      ["components.textEncoders.1", "components.unet", "hiresFix.upscaler", "loras.1.name", "vae"].map(
        (path) => `${path} unknown-model`,
      ),
    );
    expect(problems.find(({ path }) => path === "loras.1.name")!.accepted).toEqual(modelFiles.loras);
  });
});

describe("parts of a graph", () => {
  test("prompt weighting is passed on untouched", () => {
    const prompt = "(smile:1.2), [[shadow]], {a|b}, <lora:x:1>, embedding:EasyNegative, \\(x\\)";
    const graph = generator.createImageWorkflow({ prompt });
    expect(nodesOf(graph, "CLIPTextEncode")[0]!.inputs["text"]).toBe(prompt);
  });

  test("LoRAs lie one behind the other, and the prompt is read through the last", () => {
    const graph = generator.createImageWorkflow({
      prompt: "a cat",
      clipSkip: 2,
      loras: [
        { name: "add_detail.safetensors", strength: 0.5 },
        { name: "style/flat color.safetensors", strength: 1.25, clipStrength: 0 },
      ],
    });
    const second = sourceOf(graph, onlyNodeOf(graph, "KSampler"), "model");
    expect(second.inputs).toMatchObject({ strength_model: 1.25, strength_clip: 0 });
    const first = sourceOf(graph, second, "model");
    expect(first.inputs).toMatchObject({ strength_model: 0.5, strength_clip: 0.5 });
    expect(sourceOf(graph, first, "clip").inputs["stop_at_clip_layer"]).toBe(-2);
    expect(sourceOf(graph, nodesOf(graph, "CLIPTextEncode")[0], "clip")).toBe(second);
  });

  test("Flux-like components are loaded apart, guided, and drawn on a latent of 16 channels", () => {
    const graph = generator.createImageWorkflow({ prompt: "a cat", cfg: 1, ...components });
    expect(classesOf(graph)).toEqual(
      expect.arrayContaining([
        "UNETLoader",
        "DualCLIPLoader",
        "VAELoader",
        "FluxGuidance",
        "EmptySD3LatentImage",
      ]),
    );
    expect(onlyNodeOf(graph, "DualCLIPLoader").inputs["type"]).toBe("flux");
    expect(classesOf(graph)).not.toContain("CheckpointLoaderSimple");
  });

  test("an inpainting with denoise 1 blanks what is white; with less it only frees it", () => {
    const asked = { prompt: "a hat", initImage: startImage.id, mask: maskImage.id };
    expect(classesOf(generator.createImageWorkflow(asked))).toContain("VAEEncodeForInpaint");
    const gentle = classesOf(generator.createImageWorkflow({ ...asked, denoise: 0.5 }));
    expect(gentle).toContain("SetLatentNoiseMask");
    expect(gentle).not.toContain("VAEEncodeForInpaint");
  });

  test("a picture that begins with another is drawn at that one's size, unless told otherwise", () => {
    const wide = { ...startImage, width: 1500, height: 501 };
    const known = new Map([[wide.id, wide]]);
    const sizeOf = (more: object): number[] => {
      const { width, height } = parseImageParameters({ prompt: "x", initImage: wide.id, ...more }, known);
      return [width, height];
    };
    expect(sizeOf({})).toEqual([1504, 496]);
    expect(sizeOf({ width: 640 })).toEqual([640, 768]);
    const tiny = { ...startImage, width: 64, height: 100 };
    const { width, height } = parseImageParameters(
      { prompt: "x", initImage: tiny.id },
      new Map([[tiny.id, tiny]]),
    );
    expect([width, height]).toEqual([256, 400]);
  });

  test("a second pass enlarges the latent, or the picture with an upscale model", () => {
    const asked = { prompt: "a cat", width: 512, height: 768, steps: 30 };
    const latent = generator.createImageWorkflow({ ...asked, hiresFix: { scale: 1.5 } });
    expect(onlyNodeOf(latent, "LatentUpscale").inputs).toMatchObject({ width: 768, height: 1152 });
    const picture = generator.createImageWorkflow({
      ...asked,
      hiresFix: { scale: 2, upscaler: "RealESRGAN_x4plus_anime_6B.pth", steps: 12, denoise: 0.4 },
    });
    expect(onlyNodeOf(picture, "ImageScale").inputs).toMatchObject({ width: 1024, height: 1536 });
    expect(nodesOf(picture, "KSampler").map(({ inputs }) => [inputs["steps"], inputs["denoise"]])).toEqual([
      [30, 1],
      [12, 0.4],
    ]);
  });
});

describe("what makes no sense together is refused and named", () => {
  const image = { initImage: startImage.id };
  const mask = { ...image, mask: maskImage.id };
  const unknown = "0190b8a0-0000-7000-8000-00000000ffff";
  test.each<[string, string, Record<string, unknown>]>([
    ["denoise", "out-of-bounds", { denoise: 0.5 }],
    ["mask", "out-of-bounds", { mask: maskImage.id }],
    ["maskGrow", "out-of-bounds", { maskGrow: 3 }],
    ["maskGrow", "out-of-bounds", { ...mask, denoise: 0.5, maskGrow: 3 }],
    ["initImage", "invalid-value", { initImage: "cat.png" }],
    ["initImage", "unknown-upload", { initImage: unknown }],
    ["mask", "unknown-upload", { ...image, mask: unknown }],
    ["width", "out-of-bounds", { ...mask, width: 512, height: 768 }],
    ["hiresFix", "out-of-bounds", { ...mask, hiresFix: {} }],
    ["hiresFix.scale", "out-of-bounds", { width: 2048, hiresFix: { scale: 2.5 } }],
    ["hiresFix.method", "out-of-bounds", { hiresFix: { method: "bislerp", upscaler: "x.pth" } }],
    ["hiresFix.size", "unknown-field", { hiresFix: { size: 2 } }],
    ["model", "out-of-bounds", { ...components, model: "x.safetensors" }],
    ["vae", "out-of-bounds", { components: components.components }],
    ["width", "out-of-bounds", { ...components, width: 520 }],
    ["components.textEncoders", "missing-field", { components: { unet: "x" }, vae: "y" }],
    ["loras.1.name", "missing-field", { loras: [{ name: "x" }, { strength: 1 }] }],
    ["loras.0.strength", "out-of-bounds", { loras: [{ name: "x", strength: 11 }] }],
    ["loras.0.weight", "unknown-field", { loras: [{ name: "x", weight: 1 }] }],
    ["clipSkip", "out-of-bounds", { clipSkip: 0 }],
    ["keepPreviews", "wrong-type", { keepPreviews: "yes" }],
  ])("an image with a bad %s: %s", (path, code, given) => {
    const problems = refusalOf(() => generator.createImageWorkflow({ prompt: "a cat", ...given }));
    expect(problems.map((problem) => [problem.path, problem.code])).toEqual([[path, code]]);
  });

  test("a mask of another size than its image", () => {
    const small = { ...maskImage, width: 512, height: 512 };
    const known = new Map([startImage, small].map((upload) => [upload.id, upload]));
    const [problem] = refusalOf(() => parseImageParameters({ prompt: "a hat", ...mask }, known));
    expect(problem).toMatchObject({ path: "mask", received: "512 × 512", accepted: "1024 × 1024" });
  });

  test.each<[string, string, Record<string, unknown>]>([
    ["closedLoop", "out-of-bounds", { closedLoop: true }],
    ["contextStride", "out-of-bounds", { contextStride: 2 }],
    ["writer", "out-of-bounds", { writer: "core", format: "gif" }],
    ["components", "out-of-bounds", components],
    ["components", "out-of-bounds", { family: "wan" }],
    ["motionLoader", "out-of-bounds", { family: "wan", ...components, motionLoader: "gen2" }],
    ["initImage", "out-of-bounds", { family: "hunyuan", ...components, initImage: startImage.id }],
    ["width", "out-of-bounds", { family: "ltxv", ...components, width: 528 }],
    ["durationSeconds", "out-of-bounds", { family: "ltxv", ...components, fps: 12, durationSeconds: 1 }],
    ["family", "unknown-value", { family: "sora" }],
  ])("a video with a bad %s: %s", (path, code, given) => {
    const problems = refusalOf(() => generator.createVideoWorkflow({ prompt: "a cat", ...given }));
    expect(problems.map((problem) => [problem.path, problem.code])).toEqual([[path, code]]);
  });
});
