import { describe, expect, test } from "@jest/globals";
import {
  ExactNumber,
  stringifyExactJson,
  validateGraph,
  type ObjectInfo,
  type Workflow,
} from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { parseImageParameters, parseVideoParameters, WorkflowGenerator } from "@genga/workflows";
import fc from "fast-check";
import { meaningOf } from "./graph-meaning.ts";
import {
  animateDiffNodes,
  coreNodes,
  everything,
  objectInfoOf,
  recordedGraph,
  videoHelperSuiteNodes,
  without,
} from "./recorded-servers.ts";

const generator = new WorkflowGenerator({ objectInfo: everything });

function nodeOf(workflow: Workflow, classType: string): Workflow[string] {
  const found = Object.values(workflow).filter((node) => node.class_type === classType);
  expect(found).toHaveLength(1);
  return found[0]!;
}

function refusalOf(action: () => unknown): JobProblem[] {
  try {
    action();
  } catch (error) {
    if (error instanceof InvalidJobError) return error.problems;
    throw error;
  }
  throw new Error("nothing was refused");
}

const prompts = {
  prompt: "1girl, anime, dynamic pose, cinematic lighting",
  negativePrompt: "worst quality, low quality, blurry",
};
const seedGraphParameters = { ...prompts, seed: 1234, cfg: 7, sampler: "euler", scheduler: "normal" };

describe("graphs that a real server has run", () => {
  test("the image graph is the recorded one, at a size that we accept", () => {
    const graph = generator.createImageWorkflow({
      ...seedGraphParameters,
      width: 256,
      height: 256,
      steps: 4,
    });
    const expected = meaningOf(recordedGraph("sd15-image"));
    Object.assign(expected["EmptyLatentImage"] as object, { width: 256, height: 256 });
    expect(meaningOf(graph)).toEqual(expected);
  });

  test.each([
    ["sd15-animatediff-gen1-vhs-h264", everything],
    ["sd15-animatediff-gen1-core-savevideo", objectInfoOf(coreNodes, animateDiffNodes)],
  ])("the video graph is the recorded %s", (name, objectInfo) => {
    const video = { ...seedGraphParameters, width: 256, height: 256, steps: 2, durationSeconds: 1, fps: 8 };
    const graph = new WorkflowGenerator({ objectInfo }).createVideoWorkflow(video);
    const meaning = meaningOf(graph);
    const expected = meaningOf(recordedGraph(name));
    Object.assign(expected["EmptyLatentImage"] as object, { width: 256, height: 256 });
    expect(meaning).toEqual(expected);
  });
});

const integers = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const edges = integers(32, 256).map((blocks) => blocks * 8);
const text = fc
  .string({ minLength: 1, maxLength: 200, unit: "grapheme" })
  .filter((prompt) => /\S/.test(prompt));
const listOf = (classType: string, input: string): fc.Arbitrary<string> =>
  fc.constantFrom(...(everything[classType]!.input.required[input]![0] as string[]));

const picture = {
  prompt: text,
  negativePrompt: text,
  width: edges,
  height: edges,
  steps: integers(1, 100),
  cfg: fc.double({ min: 1, max: 20, noNaN: true }),
  seed: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  model: listOf("CheckpointLoaderSimple", "ckpt_name"),
  sampler: listOf("KSampler", "sampler_name"),
  scheduler: listOf("KSampler", "scheduler"),
};
const images = fc.record({ ...picture, count: integers(1, 16) }, { requiredKeys: ["prompt"] });
const videos = fc
  .record(
    {
      ...picture,
      durationSeconds: integers(1, 10),
      fps: integers(8, 30),
      motionModel: listOf("ADE_AnimateDiffLoaderGen1", "model_name"),
      contextLength: integers(5, 32),
      contextOverlap: integers(0, 4),
      format: fc.constantFrom("mp4", "webm", "webp", "gif"),
    },
    { requiredKeys: ["prompt"] },
  )
  .chain((video) =>
    fc
      .integer({ min: 0, max: (video.fps ?? 8) - 1 })
      // A fraction of a second that is a whole number of frames, where the length leaves room for it.
      .map((frames) =>
        video.durationSeconds === undefined || video.durationSeconds === 10
          ? video
          : { ...video, durationSeconds: video.durationSeconds + frames / (video.fps ?? 8) },
      ),
  );

describe("every set of parameters within the bounds", () => {
  test("gives an image graph that the recorded server accepts, with every value where it belongs", () => {
    fc.assert(
      fc.property(images, (given) => {
        const parameters = parseImageParameters(given);
        const graph = generator.createImageWorkflow(parameters);
        expect(validateGraph(graph, everything)).toEqual({ errors: [], warnings: [] });
        expect(nodeOf(graph, "EmptyLatentImage").inputs).toEqual({
          width: parameters.width,
          height: parameters.height,
          batch_size: parameters.count,
        });
        expect(nodeOf(graph, "CheckpointLoaderSimple").inputs["ckpt_name"]).toBe(parameters.model);
        expect(nodeOf(graph, "KSampler").inputs).toMatchObject({
          seed: parameters.seed,
          steps: parameters.steps,
          cfg: parameters.cfg,
          sampler_name: parameters.sampler,
          scheduler: parameters.scheduler,
        });
        expect(generator.createImageWorkflow(parameters)).toEqual(graph);
      }),
      { numRuns: 300 },
    );
  });

  test.each<[string, ObjectInfo]>([
    ["both node packs", everything],
    ["AnimateDiff and core nodes alone", objectInfoOf(coreNodes, animateDiffNodes)],
    ["no CreateVideo", without(everything, "VHS_VideoCombine", "CreateVideo")],
    ["nothing but VideoHelperSuite", without(everything, "SaveVideo", "SaveWEBM", "SaveAnimatedWEBP")],
  ])("gives a video graph that a server with %s accepts", (_name, objectInfo) => {
    const local = new WorkflowGenerator({ objectInfo });
    const isVideoHelperSuiteThere = Object.hasOwn(objectInfo, "VHS_VideoCombine");
    fc.assert(
      fc.property(videos, (given) => {
        const parameters = parseVideoParameters(given);
        const canWrite =
          isVideoHelperSuiteThere ||
          parameters.format === undefined ||
          parameters.format === "webm" ||
          parameters.format === "webp" ||
          (parameters.format === "mp4" && Object.hasOwn(objectInfo, "CreateVideo"));
        if (!canWrite) {
          const [problem] = refusalOf(() => local.createVideoWorkflow(parameters));
          expect(problem).toMatchObject({ path: "format", code: "unknown-node-class" });
          return;
        }
        const graph = local.createVideoWorkflow(parameters);
        expect(validateGraph(graph, objectInfo)).toEqual({ errors: [], warnings: [] });
        const frames = nodeOf(graph, "EmptyLatentImage").inputs["batch_size"];
        expect(frames).toBeCloseTo(parameters.durationSeconds * parameters.fps, 6);
        expect(Number.isInteger(frames)).toBe(true);
        expect(nodeOf(graph, "KSampler").inputs["seed"]).toBe(parameters.seed);
        const context = nodeOf(graph, "ADE_StandardStaticContextOptions").inputs;
        expect(context).toEqual({
          context_length: parameters.contextLength,
          context_overlap: parameters.contextOverlap,
        });
        expect(local.createVideoWorkflow(parameters)).toEqual(graph);
      }),
      { numRuns: 150 },
    );
  });

  test("never uses the ending that fails on real servers", () => {
    fc.assert(
      fc.property(videos, (given) => {
        expect(JSON.stringify(generator.createVideoWorkflow(given))).not.toContain("ADE_AnimateDiffCombine");
      }),
      { numRuns: 50 },
    );
  });
});

describe("what is out of bounds is refused, named and never rounded", () => {
  test.each<[string, string, Record<string, unknown>]>([
    ["prompt", "missing-field", { prompt: undefined }],
    ["prompt", "out-of-bounds", { prompt: "" }],
    ["prompt", "invalid-value", { prompt: "  \n" }],
    ["prompt", "wrong-type", { prompt: 7 }],
    ["prompt", "out-of-bounds", { prompt: "x".repeat(10_001) }],
    ["negativePrompt", "wrong-type", { negativePrompt: null }],
    ["width", "out-of-bounds", { width: 255 }],
    ["width", "out-of-bounds", { width: 2056 }],
    ["height", "out-of-bounds", { height: 516 }],
    ["height", "wrong-type", { height: "512" }],
    ["steps", "out-of-bounds", { steps: 0 }],
    ["steps", "out-of-bounds", { steps: 101 }],
    ["steps", "wrong-type", { steps: 1.5 }],
    ["cfg", "out-of-bounds", { cfg: 0.99 }],
    ["cfg", "out-of-bounds", { cfg: 20.01 }],
    ["seed", "out-of-bounds", { seed: -1 }],
    ["seed", "out-of-bounds", { seed: 2 ** 53 }],
    ["count", "out-of-bounds", { count: 0 }],
    ["count", "out-of-bounds", { count: 17 }],
    ["model", "out-of-bounds", { model: "" }],
    ["negative_prompt", "unknown-field", { negative_prompt: "x" }],
    ["__defineGetter__", "unknown-field", { __defineGetter__: "x" }],
  ])("an image with a bad %s: %s", (path, code, given) => {
    const problems = refusalOf(() => generator.createImageWorkflow({ prompt: "a cat", ...given }));
    expect(problems.map((problem) => [problem.path, problem.code])).toContainEqual([path, code]);
    expect(new Set(problems.map((problem) => problem.path))).toEqual(new Set([path]));
  });

  test.each<[string, string, Record<string, unknown>]>([
    ["durationSeconds", "out-of-bounds", { durationSeconds: 0.5 }],
    ["durationSeconds", "out-of-bounds", { durationSeconds: 11 }],
    ["durationSeconds", "out-of-bounds", { durationSeconds: 1.3, fps: 8 }],
    ["fps", "out-of-bounds", { fps: 7 }],
    ["fps", "out-of-bounds", { fps: 31 }],
    ["fps", "wrong-type", { fps: 12.5 }],
    ["contextLength", "out-of-bounds", { contextLength: 33 }],
    ["contextOverlap", "out-of-bounds", { contextLength: 4, contextOverlap: 4 }],
    ["format", "unknown-value", { format: "avi" }],
    ["count", "unknown-field", { count: 2 }],
  ])("a video with a bad %s: %s", (path, code, given) => {
    const problems = refusalOf(() => generator.createVideoWorkflow({ prompt: "a cat", ...given }));
    expect(problems.map((problem) => [problem.path, problem.code])).toEqual([[path, code]]);
  });

  test("all problems come at once, with what was given and what is accepted", () => {
    const problems = refusalOf(() =>
      generator.createVideoWorkflow({
        prompt: "a cat",
        width: 100,
        cfg: "7",
        fps: 8,
        durationSeconds: 1.3,
        size: 1,
      }),
    );
    expect(Object.fromEntries(problems.map((problem) => [problem.path, problem]))).toMatchObject({
      width: { received: 100, accepted: { minimum: 256, maximum: 2048, multipleOf: 8 } },
      cfg: { received: "7", accepted: { type: "number", minimum: 1, maximum: 20 } },
      durationSeconds: {
        message: "durationSeconds is refused: durationSeconds × fps must be a whole number of frames.",
      },
      size: { code: "unknown-field", accepted: expect.arrayContaining(["width", "height"]) },
    });
  });

  test("a misspelt field is answered with the right one", () => {
    const [problem] = refusalOf(() =>
      generator.createImageWorkflow({ prompt: "a cat", negative_prompt: "x" }),
    );
    expect(problem).toMatchObject({ accepted: "negativePrompt" });
    expect(problem!.message).toContain("Did you mean negativePrompt?");
  });
});

test.each([
  [new ExactNumber("18446744073709551615"), "18446744073709551615"],
  ["18446744073709551615", "18446744073709551615"],
  ["06687881544318117707", "6687881544318117707"],
  ["1234", 1234],
  [new ExactNumber("5.0"), 5],
  [9007199254740991, 9007199254740991],
])("the seed %s keeps all its digits", (given, kept) => {
  const parameters = parseImageParameters({ prompt: "a cat", seed: given });
  expect(parameters.seed).toBe(kept);
  expect(stringifyExactJson(generator.createImageWorkflow(parameters))).toContain(`"seed":${kept},`);
  expect(JSON.parse(JSON.stringify(parameters))).toMatchObject({ seed: kept });
});

test.each([
  ["18446744073709551616", "out-of-bounds"],
  [new ExactNumber("18446744073709551616"), "out-of-bounds"],
  [new ExactNumber("-9007199254740993"), "invalid-value"],
  [new ExactNumber("1e30"), "out-of-bounds"],
  ["-1", "invalid-value"],
  ["1.5", "invalid-value"],
  [1.5, "invalid-value"],
  [null, "invalid-value"],
])("the seed %s is none, and the answer says up to where seeds go", (given, code) => {
  const [problem] = refusalOf(() => generator.createImageWorkflow({ prompt: "a cat", seed: given }));
  expect(problem).toMatchObject({ path: "seed", code });
});

test("numbers that Python wrote as floats are read as numbers", () => {
  const asked = { prompt: "a cat", width: new ExactNumber("512.0"), cfg: new ExactNumber("7.0") };
  expect(parseImageParameters({ ...asked, hiresFix: { scale: new ExactNumber("2.0") } })).toMatchObject({
    width: 512,
    cfg: 7,
    hiresFix: { scale: 2 },
  });
});

test("a seed is drawn when absent, kept, and different each time", () => {
  const seeds = Array.from({ length: 100 }, () => parseImageParameters({ prompt: "a cat" }).seed);
  expect(new Set(seeds).size).toBe(100);
  expect(seeds.every((seed) => Number.isSafeInteger(seed) && Number(seed) >= 0)).toBe(true);
  const parameters = parseImageParameters({ prompt: "a cat" });
  expect(nodeOf(generator.createImageWorkflow(parameters), "KSampler").inputs["seed"]).toBe(parameters.seed);
});

test("every node has a title that a person likes", () => {
  const graph = generator.createVideoWorkflow({ prompt: "a cat" });
  expect(Object.values(graph).map((node) => node._meta?.title)).toEqual([
    "Load checkpoint",
    "Read prompt",
    "Read negative prompt",
    "Empty canvas",
    "Frame windows",
    "Load motion model",
    "Sample",
    "Decode",
    "Save video",
  ]);
});

test("without node definitions a video ends in VideoHelperSuite's mp4", () => {
  const graph = new WorkflowGenerator().createVideoWorkflow({ prompt: "a cat" });
  expect(nodeOf(graph, "VHS_VideoCombine").inputs["format"]).toBe("video/h264-mp4");
  expect(Object.hasOwn(videoHelperSuiteNodes, "VHS_VideoCombine")).toBe(true);
});
