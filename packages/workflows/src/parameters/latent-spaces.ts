/**
 * The latent space in which a model draws. The same size in pixels means different latents for different models, but
 * nodes that take pixels assume 8 pixels per latent element for every model (`LatentUpscale`, source of 0.3.64 and
 * 0.28).
 */
export interface LatentSpace {
  /** The class of the node that makes an empty latent of this space. */
  emptyClass: string;
  /** Pixels of a picture's side per element of a latent's side; `undefined` where it depends on the model's file. */
  factor: number | undefined;
  /** Widths and heights must be multiples of this many pixels. */
  step: number;
}

/** SD1.5, SDXL and models derived from them: four channels. */
const classic: LatentSpace = { emptyClass: "EmptyLatentImage", factor: 8, step: 8 };

/** Sixteen channels, in patches of two by two: Flux, SD3, Qwen and most models since. */
const sixteenChannels: LatentSpace = { emptyClass: "EmptySD3LatentImage", factor: 8, step: 16 };

const flux2: LatentSpace = { emptyClass: "EmptyFlux2LatentImage", factor: 16, step: 16 };

/**
 * Servers up to 0.3.64 drew on an empty latent of another space without converting it, and the picture came out four
 * times as wide and high.
 */
const hunyuanImage: LatentSpace = { emptyClass: "EmptyHunyuanImageLatent", factor: 32, step: 32 };

/**
 * For other models: newer servers convert the empty latent to the model's space, which changes the size of the picture.
 */
const unknown: LatentSpace = { ...sixteenChannels, factor: undefined };

/**
 * The latent space by the type of the text encoder, which is the only description of its model that a client gives.
 * Chroma and Lumina 2 are not listed, because some of their models draw in pixels.
 */
const spaces: ReadonlyMap<string, LatentSpace> = new Map([
  ...entries(classic, "stable_diffusion", "sdxl"),
  ...entries(sixteenChannels, "flux", "sd3", "hidream", "qwen_image", "omnigen2", "kandinsky5_image"),
  ...entries(sixteenChannels, "ovis", "longcat_image", "boogu", "krea2", "joyimage", "newbie"),
  ...entries(flux2, "flux2", "lens", "ideogram4"),
  ...entries(hunyuanImage, "hunyuan_image"),
]);

/** The space of a checkpoint, or of a model that comes in parts with such text encoders. */
export function latentSpaceOf(components: { textEncoderType?: string | undefined } | undefined): LatentSpace {
  if (components === undefined) return classic;
  return spaces.get(components.textEncoderType ?? "flux") ?? unknown;
}

function entries(space: LatentSpace, ...types: string[]): [string, LatentSpace][] {
  return types.map((type) => [type, space]);
}
