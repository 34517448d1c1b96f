import { objectInfoSchema, type ObjectInfo } from "@genga/comfyui";
import { objectInfo, workflow } from "@genga/comfyui-recordings";
import { z } from "zod";
import { type KnownServer } from "@genga/workflows";

const anyRecord = z.record(z.string(), z.unknown());

/** A graph as a real server ran it. */
export function recordedGraph(name: string): Record<string, unknown> {
  return anyRecord.parse(JSON.parse(workflow("0.3.64", name)));
}

/** Node definitions as a real server gave them. */
function recordedNodes(pack: string): Record<string, unknown> {
  return anyRecord.parse(JSON.parse(objectInfo("0.3.64", pack)));
}

export const coreNodes = recordedNodes("core");
export const animateDiffNodes = recordedNodes("animatediff");
export const videoHelperSuiteNodes = recordedNodes("video-helper-suite");

export function objectInfoOf(...packs: Record<string, unknown>[]): ObjectInfo {
  return objectInfoSchema.parse(Object.assign({}, ...packs));
}

export const everything = objectInfoOf(coreNodes, animateDiffNodes, videoHelperSuiteNodes);

/** A server with these node definitions; equal ids have equal definitions. */
export function serverWith(id: string, objectInfo: ObjectInfo): KnownServer {
  return { id, definitionsHash: id, objectInfo };
}

/** These definitions, with another list of accepted values for one input. */
export function withList(
  objectInfo: ObjectInfo,
  classType: string,
  input: string,
  values: string[],
): ObjectInfo {
  const node = objectInfo[classType];
  if (node === undefined) throw new Error(`${classType} was not recorded.`);
  const required = { ...node.input.required, [input]: [values] as [string[]] };
  return { ...objectInfo, [classType]: { ...node, input: { ...node.input, required } } };
}

/** These definitions without some classes. */
export function without(objectInfo: ObjectInfo, ...classTypes: string[]): ObjectInfo {
  return Object.fromEntries(Object.entries(objectInfo).filter(([name]) => !classTypes.includes(name)));
}

/** These definitions with files in the model folders that were empty on the recorded server. */
export function withModels(objectInfo: ObjectInfo): ObjectInfo {
  const files: [classType: string, input: string, values: string[]][] = [
    ["LoraLoader", "lora_name", modelFiles.loras],
    ["VAELoader", "vae_name", modelFiles.vaes],
    ["UNETLoader", "unet_name", modelFiles.unets],
    ["CLIPLoader", "clip_name", modelFiles.textEncoders],
    ["DualCLIPLoader", "clip_name1", modelFiles.textEncoders],
    ["DualCLIPLoader", "clip_name2", modelFiles.textEncoders],
    ["UpscaleModelLoader", "model_name", modelFiles.upscalers],
    ["ADE_AnimateDiffLoRALoader", "name", modelFiles.motionLoras],
  ];
  return files.reduce(
    (info, [classType, input, values]) =>
      Object.hasOwn(info, classType) ? withList(info, classType, input, values) : info,
    objectInfo,
  );
}

export const modelFiles = {
  loras: ["add_detail.safetensors", "style/flat color.safetensors"],
  vaes: ["vae-ft-mse-840000-ema-pruned.safetensors", "ae.safetensors"],
  unets: ["flux1-dev.safetensors", "wan2.1_t2v_1.3B.safetensors"],
  textEncoders: ["clip_l.safetensors", "t5xxl_fp16.safetensors"],
  upscalers: ["RealESRGAN_x4plus_anime_6B.pth"],
  motionLoras: ["v2_lora_PanLeft.ckpt", "v2_lora_ZoomIn.ckpt"],
};
