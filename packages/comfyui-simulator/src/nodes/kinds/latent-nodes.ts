import { allocationFailed } from "../allocation.ts";
import { scalePicture } from "./image-nodes.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { type LatentValue } from "../node-values.ts";
import { imageInput, latentInput, numberInput, textInput } from "../read-input.ts";

/** Latents: their sizes are multiples of 8 pixels, whatever size was requested (GRAPHS, 4). */
export const latentNodes: Readonly<Record<string, NodeImplementation>> = {
  EmptyLatentImage: emptyLatent,
  EmptySD3LatentImage: emptyLatent,
  ADE_EmptyLatentImageLarge: emptyLatent,
  EmptyHunyuanLatentVideo: (run) => emptyVideoLatent(run, 4),
  EmptyLTXVLatentVideo: (run) => emptyVideoLatent(run, 8),
  EmptyMochiLatentVideo: (run) => emptyVideoLatent(run, 6),
  Wan22ImageToVideoLatent: (run) => emptyVideoLatent(run, 4),
  VAEEncode: (run) => encode(run, "pixels"),
  VAEEncodeForInpaint: (run) => encode(run, "pixels"),
  VHS_VAEEncodeBatched: (run) => encode(run, "pixels"),
  VAEDecode: decode,
  VAEDecodeTiled: decode,
  VHS_VAEDecodeBatched: decode,
  LatentUpscale: (run) => {
    const latent = latentInput(run, "samples");
    const [width, height] = [numberInput(run, "width"), numberInput(run, "height")];
    if (width === 0 && height === 0) return { outputs: [latent] };
    const wide =
      width === 0 ? Math.max(64, Math.round((latent.width * height) / latent.height)) : Math.max(64, width);
    const tall =
      height === 0 ? Math.max(64, Math.round((latent.height * width) / latent.width)) : Math.max(64, height);
    return { outputs: [resized(run, latent, wide - (wide % 8), tall - (tall % 8))] };
  },
  LatentUpscaleBy: (run) => {
    const latent = latentInput(run, "samples");
    const factor = numberInput(run, "scale_by", 1.5);
    const [wide, tall] = [latent.width / 8, latent.height / 8].map((size) => Math.round(size * factor) * 8);
    return { outputs: [resized(run, latent, wide ?? latent.width, tall ?? latent.height)] };
  },
  SetLatentNoiseMask: (run) => ({ outputs: [latentInput(run, "samples")] }),
  RepeatLatentBatch: (run) => {
    const latent = latentInput(run, "samples");
    const amount = numberInput(run, "amount", 1);
    const pictures = latent.pictures && Array.from({ length: amount }, () => latent.pictures ?? []).flat();
    return { outputs: [{ ...latent, count: latent.count * amount, pictures }] };
  },
  LatentFromBatch: (run) => {
    const latent = latentInput(run, "samples");
    const start = Math.min(numberInput(run, "batch_index"), latent.count - 1);
    const count = Math.min(numberInput(run, "length", 1), latent.count - start);
    return { outputs: [{ ...latent, count, pictures: latent.pictures?.slice(start, start + count) }] };
  },
};

function emptyLatent(run: NodeRun): NodeResult {
  const [width, height] = [numberInput(run, "width", 512), numberInput(run, "height", 512)];
  const count = numberInput(run, "batch_size", 1);
  const [wide, tall] = [Math.floor(width / 8), Math.floor(height / 8)];
  allocationFailed(count * 4 * wide * tall * 4);
  return { outputs: [{ kind: "latent", width: wide * 8, height: tall * 8, count, pictures: undefined }] };
}

function emptyVideoLatent(run: NodeRun, step: number): NodeResult {
  const [width, height] = [numberInput(run, "width", 512), numberInput(run, "height", 512)];
  const count = Math.floor((numberInput(run, "length", 1) - 1) / step) * step + 1;
  const latent: LatentValue = {
    kind: "latent",
    width: width - (width % 8),
    height: height - (height % 8),
    count,
    pictures: undefined,
  };
  return { outputs: [latent] };
}

/** The encoder crops to a multiple of 8. */
function encode(run: NodeRun, input: string): NodeResult {
  const { pictures } = imageInput(run, input);
  const [first] = pictures;
  if (!first) throw new NodeException("IndexError", "index 0 is out of bounds for dimension 0 with size 0");
  const [width, height] = [first.width - (first.width % 8), first.height - (first.height % 8)];
  const cropped = pictures.map((picture) =>
    picture.width === width && picture.height === height
      ? picture
      : ({ op: "crop", width, height, source: picture, left: 0, top: 0 } as const),
  );
  return { outputs: [{ kind: "latent", width, height, count: pictures.length, pictures: cropped }] };
}

/** A latent that was never sampled decodes to plain grey. */
async function decode(run: NodeRun): Promise<NodeResult> {
  const { pictures, width, height, count } = latentInput(run, "samples");
  await run.wait(run.timing.stepMs * 0.5);
  const grey = { op: "flat", width, height, color: 0x7f7a80 } as const;
  return { outputs: [{ kind: "image", pictures: pictures ?? Array.from({ length: count }, () => grey) }] };
}

function resized(run: NodeRun, latent: LatentValue, width: number, height: number): LatentValue {
  const method = textInput(run, "upscale_method", "nearest-exact");
  const pictures = latent.pictures?.map((picture) => scalePicture(picture, width, height, method, false));
  return { ...latent, width, height, pictures };
}
