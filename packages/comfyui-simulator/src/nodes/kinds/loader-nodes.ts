import sharp from "sharp";
import { type NodeImplementation, type NodeResult, type NodeRun, NodeException } from "../node-run.ts";
import { opaque, type ModelValue, type NodeValue } from "../node-values.ts";
import { modelInput, numberInput, textInput } from "../read-input.ts";

/** Smaller files load in a fraction of a checkpoint's time. */
const addOnShare = 0.2;

/** Loaders: they cost time when the file is not in memory, and no message is sent meanwhile (GRAPHS, 6). */
export const loaderNodes: Readonly<Record<string, NodeImplementation>> = {
  CheckpointLoaderSimple: loadCheckpoint,
  CheckpointLoaderSimpleWithNoiseSelect: loadCheckpoint,
  ImageOnlyCheckpointLoader: async (run) => {
    const { outputs } = await loadCheckpoint(run);
    return { outputs: [outputs[0] ?? opaque("MODEL"), opaque("CLIP_VISION"), outputs[2] ?? opaque("VAE")] };
  },
  UNETLoader: async (run) => {
    const name = textInput(run, "unet_name");
    if (run.loaded.switchTo(name)) await run.wait(run.timing.loadMs);
    return { outputs: [modelNamed(name)] };
  },
  CLIPLoader: (run) => loadAddOn(run, "clip_name", (name) => ({ kind: "clip", checkpoint: name })),
  DualCLIPLoader: (run) => loadAddOn(run, "clip_name1", (name) => ({ kind: "clip", checkpoint: name })),
  VAELoader: (run) => loadAddOn(run, "vae_name", (name) => ({ kind: "vae", checkpoint: name })),
  CLIPVisionLoader: (run) => loadAddOn(run, "clip_name", () => opaque("CLIP_VISION")),
  ControlNetLoader: (run) => loadAddOn(run, "control_net_name", () => opaque("CONTROL_NET")),
  UpscaleModelLoader: (run) => loadAddOn(run, "model_name", (name) => opaque("UPSCALE_MODEL", name)),
  LoraLoader: (run) => ({ outputs: [withLora(run), run.inputs.get("clip") ?? opaque("CLIP")] }),
  LoraLoaderModelOnly: (run) => ({ outputs: [withLora(run)] }),
  CLIPSetLastLayer: (run) => ({ outputs: [run.inputs.get("clip") ?? opaque("CLIP")] }),
  ModelSamplingDiscrete: passModel,
  ModelSamplingSD3: passModel,
  ModelSamplingFlux: passModel,
  VideoLinearCFGGuidance: passModel,
  LoadImage: loadImage,
  LoadImageOutput: loadImage,
  LoadImageMask: async (run) => ({ outputs: [(await loadImage(run)).outputs[1] ?? opaque("MASK")] }),
};

async function loadCheckpoint(run: NodeRun): Promise<NodeResult> {
  const checkpoint = textInput(run, "ckpt_name");
  if (run.loaded.switchTo(checkpoint)) await run.wait(run.timing.loadMs);
  return { outputs: [modelNamed(checkpoint), { kind: "clip", checkpoint }, { kind: "vae", checkpoint }] };
}

function modelNamed(checkpoint: string): ModelValue {
  return { kind: "model", checkpoint, loras: [], motion: undefined };
}

async function loadAddOn(
  run: NodeRun,
  input: string,
  make: (name: string) => NodeValue,
): Promise<NodeResult> {
  const name = textInput(run, input);
  if (run.loaded.add(name)) await run.wait(run.timing.loadMs * addOnShare);
  return { outputs: [make(name)] };
}

function withLora(run: NodeRun): ModelValue {
  const model = modelInput(run, "model");
  const strength = numberInput(run, "strength_model", 1);
  const name = textInput(run, "lora_name").replace(/\.[^.]+$/, "");
  return strength === 0 ? model : { ...model, loras: [...model.loras, `${name}:${strength}`] };
}

function passModel(run: NodeRun): NodeResult {
  return { outputs: [modelInput(run, "model")] };
}

function loadImage(run: NodeRun): Promise<NodeResult> {
  return openImage(run, textInput(run, "image"));
}

/** @param name of a file in a folder of the server, which may be named after it: `a.png [temp]` */
export async function openImage(run: NodeRun, name: string): Promise<NodeResult> {
  const path = run.folders.annotatedPath(name);
  const { width, height, orientation } = await sharp(path)
    .metadata()
    .catch(() => {
      throw new NodeException("PIL.UnidentifiedImageError", `cannot identify image file '${path}'`);
    });
  const isTurned = (orientation ?? 1) > 4;
  const picture = {
    op: "file",
    path,
    width: isTurned ? height : width,
    height: isTurned ? width : height,
  } as const;
  return { outputs: [{ kind: "image", pictures: [picture] }, opaque("MASK")] };
}
