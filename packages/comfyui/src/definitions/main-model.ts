import { type NeededModel } from "./graph-needs.ts";

/** Inputs that name a checkpoint or a diffusion model in whatever class has them: `ckpt_name`, `unet_name`, … */
const mainInput = /^(.+_)?(ckpt|checkpoint|unet|diffusion_model)(_name)?_?\d*$/i;

/** Inputs that name any kind of model; the class tells whether it is a diffusion model. */
const modelInput = /^model(_name|_path)?$/i;

/** `DiffusionModelLoaderKJ`, `WanVideoModelLoader`, `NunchakuFluxDiTLoader`, `DownloadAndLoadCogVideoModel`, … */
const mainLoader =
  /(checkpoint|unet|diffusionmodel|dit|video)\w*loader|load\w*(checkpoint|unet|diffusionmodel|dit|video)/i;

/** Classes that load what is used beside the main model, although their names may look like those above. */
const otherLoader =
  /vae|lora|clip|encoder|control|upscale|vision|adapter|motion|animatediff|interpolat|audio|patch/i;

/** A graph that switches between more main models than this is told apart by its other requirements. */
const namesMax = 4;

/**
 * The checkpoint or diffusion model that a server must load for the graph; several of them, as of a video model for
 * high and one for low noise, are joined by " + ". `null` = the graph loads none.
 */
export function mainModelOf(
  models: readonly Pick<NeededModel, "classType" | "input" | "name">[],
): string | null {
  const names = models.filter(isMain).map(({ name }) => name);
  const distinct = [...new Set(names)].sort().slice(0, namesMax);
  return distinct.length === 0 ? null : distinct.join(" + ");
}

function isMain({ classType, input }: Pick<NeededModel, "classType" | "input">): boolean {
  if (mainInput.test(input)) return true;
  return modelInput.test(input) && mainLoader.test(classType) && !otherLoader.test(classType);
}
