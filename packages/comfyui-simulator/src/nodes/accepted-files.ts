import { type ModelFiles } from "../options.ts";
import { type Folders } from "../files/folders.ts";

/** The model folder of an input's files, for inputs whose name decides it. */
const folderByInput: Readonly<Record<string, string>> = {
  ckpt_name: "checkpoints",
  vae_name: "vae",
  lora_name: "loras",
  unet_name: "diffusion_models",
  clip_name: "text_encoders",
  clip_name1: "text_encoders",
  clip_name2: "text_encoders",
  control_net_name: "controlnet",
};

const folderByClassAndInput: Readonly<Record<string, string>> = {
  "CLIPVisionLoader.clip_name": "clip_vision",
  "UpscaleModelLoader.model_name": "upscale_models",
  "ADE_AnimateDiffLoaderGen1.model_name": "animatediff_models",
  "ADE_LoadAnimateDiffModel.model_name": "animatediff_models",
  "ADE_AnimateDiffLoaderWithContext.model_name": "animatediff_models",
  "ADE_LoadAnimateLCMI2VModel.model_name": "animatediff_models",
  "AnimateDiffLoaderV1.model_name": "animatediff_models",
  "ADE_AnimateDiffLoRALoader.name": "animatediff_motion_lora",
};

/** The files that an input may name right now; undefined for inputs that name no file. */
export function acceptedFiles(
  className: string,
  input: string,
  models: ModelFiles,
  folders: Folders,
): readonly string[] | undefined {
  if (className === "LoadImage" || className === "LoadImageMask") {
    return input === "image" ? folders.inputFiles("image") : undefined;
  }
  if (className === "LoadVideo" && input === "file") return folders.inputFiles("video");
  const folder = folderByClassAndInput[`${className}.${input}`] ?? folderByInput[input];
  if (folder === undefined) return undefined;
  const files = [...(models[folder] ?? [])].sort();
  return className === "VAELoader" ? [...files, "pixel_space"] : files;
}
