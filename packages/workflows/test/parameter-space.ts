import { type Upload } from "@genga/jobs";
import fc from "fast-check";
import { everything, modelFiles } from "./recorded-servers.ts";

/** The whole space of parameters that are accepted, for property tests. Fields are present or absent at random. */

export const startImage: Upload = {
  id: "0190b8a0-0000-7000-8000-000000000001",
  tenantId: "00000000-0000-7000-8000-000000000000",
  sha256: "ab".repeat(32),
  mediaType: "image/png",
  bytes: 1000,
  width: 1024,
  height: 1024,
  frames: 1,
  durationMs: null,
  blake3: null,
  createdAt: new Date(0),
};
export const maskImage: Upload = {
  ...startImage,
  id: "0190b8a0-0000-7000-8000-000000000002",
  sha256: "cd".repeat(32),
  mediaType: "image/webp",
};

const integers = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
const fractions = (min: number, max: number): fc.Arbitrary<number> => fc.double({ min, max, noNaN: true });
const listOf = (classType: string, input: string): fc.Arbitrary<string> =>
  fc.constantFrom(...(everything[classType]!.input.required[input]![0] as string[]));
const text = fc
  .string({ minLength: 1, maxLength: 60, unit: "grapheme" })
  .filter((prompt) => /\S/.test(prompt));

/** Each field is there, or is not. */
const parts = (shape: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> =>
  fc.record(shape, { requiredKeys: [] });

const common = {
  negativePrompt: text,
  steps: integers(1, 100),
  cfg: fractions(1, 20),
  seed: integers(0, Number.MAX_SAFE_INTEGER),
  sampler: listOf("KSampler", "sampler_name"),
  scheduler: listOf("KSampler", "scheduler"),
  clipSkip: integers(1, 24),
  loras: fc.array(
    fc.record(
      {
        name: fc.constantFrom(...modelFiles.loras),
        strength: fractions(-10, 10),
        clipStrength: fractions(-10, 10),
      },
      { requiredKeys: ["name"] },
    ),
    { maxLength: 4 },
  ),
  keepPreviews: fc.boolean(),
  stripMetadata: fc.boolean(),
};
const vae = fc.constantFrom(...modelFiles.vaes);
const checkpoint = parts({ model: listOf("CheckpointLoaderSimple", "ckpt_name"), vae });
const flow = parts({ guidance: fractions(0, 100), shift: fractions(0, 100) });
/** What the loader of one text encoder takes is not what the loader of two takes. */
const imageComponents = fc
  .record({
    vae,
    unet: fc.constantFrom(...modelFiles.unets),
    more: flow,
    encoders: fc.oneof(
      fc.record({
        textEncoders: fc.constantFrom(...modelFiles.textEncoders).map((encoder) => [encoder]),
        textEncoderType: fc.constantFrom("sd3", "chroma", "stable_diffusion"),
      }),
      fc.record(
        {
          textEncoders: fc.constant(modelFiles.textEncoders),
          textEncoderType: fc.constantFrom("flux", "sd3", "sdxl"),
        },
        { requiredKeys: ["textEncoders"] },
      ),
    ),
  })
  .map(({ vae: file, unet, more, encoders }) => ({ vae: file, components: { unet, ...encoders, ...more } }));

const sides = (step: number): fc.Arbitrary<number> =>
  integers(Math.ceil(256 / step), 2048 / step).map((n) => n * step);
const sizes = (step: number): fc.Arbitrary<object> => parts({ width: sides(step), height: sides(step) });

const hiresFix = fc.oneof(
  parts({ scale: fractions(1.05, 2), denoise: fractions(0.01, 1), steps: integers(1, 100) }),
  parts({ scale: fractions(1.05, 2), method: fc.constantFrom("bislerp", "bilinear", "nearest-exact") }),
  fc.record({ upscaler: fc.constantFrom(...modelFiles.upscalers), scale: fractions(1.05, 2) }),
);
const imageToImage = fc.record(
  { initImage: fc.constant(startImage.id), denoise: fractions(0.01, 1) },
  { requiredKeys: ["initImage"] },
);
const inpainting = fc
  .tuple(
    sides(16),
    fc.oneof(parts({ maskGrow: integers(0, 64) }), fc.record({ denoise: fractions(0.01, 0.99) })),
  )
  .map(([side, more]) => ({
    ...{ initImage: startImage.id, mask: maskImage.id, width: side, height: side },
    ...more,
  }));

const merged = (...records: fc.Arbitrary<object>[]): fc.Arbitrary<Record<string, unknown>> =>
  fc.tuple(...records).map((each) => Object.assign({}, ...each) as Record<string, unknown>);

/** Every accepted set of parameters of an image. */
export const imageSpace = fc.oneof(checkpoint, imageComponents).chain((models) => {
  const step = "components" in models ? 16 : 8;
  const start = fc.oneof(
    fc
      .oneof(fc.constant({}), imageToImage)
      .chain((begin) => merged(fc.constant(begin), sizes(step), parts({ hiresFix }))),
    inpainting,
  );
  const rest = fc.record({ ...common, prompt: text, count: integers(1, 16) }, { requiredKeys: ["prompt"] });
  return merged(rest, fc.constant(models), start);
});

const endings = fc
  .record(
    {
      format: fc.constantFrom("mp4", "webm", "webp", "gif"),
      writer: fc.constantFrom("core", "video-helper-suite"),
    },
    { requiredKeys: [] },
  )
  .filter(({ format, writer }) => !(format === "gif" && writer === "core"));

const contexts = fc.oneof(
  parts({ contextKind: fc.constantFrom("standard-static", "batched") }),
  fc.record({ contextKind: fc.constant("standard-uniform"), contextStride: integers(1, 32) }),
  fc.record(
    { contextKind: fc.constant("looped-uniform"), contextStride: integers(1, 32), closedLoop: fc.boolean() },
    { requiredKeys: ["contextKind"] },
  ),
);
const motion = parts({
  motionLoader: fc.constantFrom("gen1", "gen2"),
  motionModel: listOf("ADE_AnimateDiffLoaderGen1", "model_name"),
  contextLength: integers(5, 32),
  contextOverlap: integers(0, 4),
  motionLoras: fc.array(
    fc.record(
      { name: fc.constantFrom(...modelFiles.motionLoras), strength: fractions(0, 10) },
      { requiredKeys: ["name"] },
    ),
    { maxLength: 3 },
  ),
});
const wholeSeconds = parts({ durationSeconds: integers(1, 10), fps: integers(8, 30) });
const rest = fc.record({ ...common, prompt: text }, { requiredKeys: ["prompt"] });

/** Every accepted set of parameters of an AnimateDiff video (whole seconds; fractions are another test's). */
export const animateDiffSpace = merged(
  ...[rest, checkpoint, sizes(8), wholeSeconds, motion, contexts, endings],
  fc.oneof(fc.constant({}), imageToImage),
);

const native = {
  wan: { step: 16, fps: [8, 12, 16, 24], takesImage: true },
  wan22: { step: 32, fps: [8, 16, 24], takesImage: true },
  ltxv: { step: 32, fps: [8, 16, 24], takesImage: true },
  hunyuan: { step: 16, fps: [8, 24, 28], takesImage: false },
};

/** Every accepted set of parameters of a native family's video, as above. */
export const nativeSpace = fc
  .constantFrom(...(Object.keys(native) as (keyof typeof native)[]))
  .chain((family) => {
    const { step, fps, takesImage } = native[family];
    const encoders =
      family === "hunyuan" ? [modelFiles.textEncoders] : modelFiles.textEncoders.map((encoder) => [encoder]);
    const components = fc.record({
      vae,
      components: fc
        .tuple(fc.constantFrom(...encoders), fc.constantFrom(...modelFiles.unets), flow)
        .map(([textEncoderFiles, unet, more]) => ({ unet, textEncoders: textEncoderFiles, ...more })),
    });
    const start = takesImage ? parts({ initImage: fc.constant(startImage.id) }) : fc.constant({});
    const timing = fc.record({ durationSeconds: integers(1, 10), fps: fc.constantFrom(...fps) });
    return merged(rest, fc.constant({ family }), components, sizes(step), timing, endings, start);
  });
