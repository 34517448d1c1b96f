import { listOf, specOf, type ObjectInfo } from "./object-info.ts";

/**
 * Kinds of what a server can choose from. Embeddings are not among them: prompts name them, and no class lists them.
 */
export const modelKinds = [
  ...(["checkpoints", "diffusion-models", "loras", "vae", "text-encoders", "clip-vision"] as const),
  ...(["controlnet", "style-models", "upscale-models", "latent-upscale-models", "motion-modules"] as const),
  ...(["hypernetworks", "gligen", "photomaker", "audio-encoders", "model-patches", "diffusers"] as const),
  ...(["samplers", "schedulers"] as const),
] as const;
export type ModelKind = (typeof modelKinds)[number];

/** The inputs whose lists show all files of a folder, or all samplers and schedulers. */
const listedBy: readonly (readonly [kind: ModelKind, classType: string, input: string])[] = [
  ["checkpoints", "CheckpointLoaderSimple", "ckpt_name"],
  ["checkpoints", "ImageOnlyCheckpointLoader", "ckpt_name"],
  ["diffusion-models", "UNETLoader", "unet_name"],
  ["diffusion-models", "UnetLoaderGGUF", "unet_name"],
  ["loras", "LoraLoader", "lora_name"],
  ["loras", "LoraLoaderModelOnly", "lora_name"],
  ["vae", "VAELoader", "vae_name"],
  ["text-encoders", "CLIPLoader", "clip_name"],
  ["text-encoders", "DualCLIPLoader", "clip_name1"],
  ["text-encoders", "CLIPLoaderGGUF", "clip_name"],
  ["clip-vision", "CLIPVisionLoader", "clip_name"],
  ["controlnet", "ControlNetLoader", "control_net_name"],
  ["style-models", "StyleModelLoader", "style_model_name"],
  ["upscale-models", "UpscaleModelLoader", "model_name"],
  ["latent-upscale-models", "LatentUpscaleModelLoader", "model_name"],
  ["motion-modules", "ADE_LoadAnimateDiffModel", "model_name"],
  ["motion-modules", "ADE_AnimateDiffLoaderGen1", "model_name"],
  ["hypernetworks", "HypernetworkLoader", "hypernetwork_name"],
  ["gligen", "GLIGENLoader", "gligen_name"],
  ["photomaker", "PhotoMakerLoader", "photomaker_model_name"],
  ["audio-encoders", "AudioEncoderLoader", "audio_encoder_name"],
  ["model-patches", "ModelPatchLoader", "name"],
  ["diffusers", "DiffusersLoader", "model_path"],
  ["samplers", "KSampler", "sampler_name"],
  ["samplers", "KSamplerSelect", "sampler_name"],
  ["schedulers", "KSampler", "scheduler"],
  ["schedulers", "BasicScheduler", "scheduler"],
];

/** What a server has of each kind, each name once. Kinds of which it has nothing are absent. */
export function listedModels(objectInfo: ObjectInfo): Map<ModelKind, Set<string>> {
  const listed = new Map<ModelKind, Set<string>>();
  for (const [kind, classType, input] of listedBy) {
    const definition = Object.hasOwn(objectInfo, classType) ? objectInfo[classType] : undefined;
    const spec = definition === undefined ? undefined : specOf(definition, input);
    const names = (spec === undefined ? undefined : listOf(spec)) ?? [];
    for (const name of names) {
      if (typeof name === "string") listed.set(kind, (listed.get(kind) ?? new Set()).add(name));
    }
  }
  return listed;
}

/** What an input chooses, by the names that loaders of all packs give such inputs. The first match counts. */
const kindsByName: readonly (readonly [kind: ModelKind, input: RegExp])[] = [
  ["checkpoints", /^(.+_)?(ckpt|checkpoint)(_name)?_?\d*$/i],
  ["diffusion-models", /^(.+_)?(unet|diffusion_model)(_name)?_?\d*$/i],
  ["loras", /^lora(_name)?_?\d*$/i],
  ["vae", /^vae(_name)?$/i],
  ["controlnet", /^(control_?net)(_name)?_?\d*$/i],
  ["text-encoders", /^(clip|text_encoder|t5)(_name|_model)?_?\d*$/i],
  ["style-models", /^style_model_name$/i],
  ["hypernetworks", /^hypernetwork_name$/i],
  ["gligen", /^gligen_name$/i],
  ["photomaker", /^photomaker_model_name$/i],
  ["audio-encoders", /^audio_encoder_name$/i],
  ["samplers", /^sampler(_name)?$/i],
  ["schedulers", /^scheduler(_name)?$/i],
];

/** The kind of model that an input takes, as its class and its name tell; `undefined` = no known kind. */
export function modelKindOf(classType: string, input: string): ModelKind | undefined {
  const listed = listedBy.find((each) => each[1] === classType && each[2] === input);
  if (listed !== undefined) return listed[0];
  if (input === "model_name" && /upscale/i.test(classType)) return "upscale-models";
  if (input === "model_name" && /animatediff|motion/i.test(classType)) return "motion-modules";
  if (/vision/i.test(classType) && /^clip_name$/i.test(input)) return "clip-vision";
  return kindsByName.find(([, pattern]) => pattern.test(input))?.[0];
}
