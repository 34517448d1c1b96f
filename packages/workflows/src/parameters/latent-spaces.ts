/**
 * In what space a model draws. Sizes in pixels mean different latents to different models, and nodes that take pixels
 * reckon with 8 to a latent's element, whatever the model (`LatentUpscale`, source of 0.3.64 and 0.28).
 */
export interface LatentSpace {
  /** The node that makes an empty canvas of this space. */
  emptyClass: string;
  /** Pixels of a picture's side to one element of a latent's; `undefined` where it depends on the model's file. */
  factor: number | undefined;
  /** Widths and heights must be multiples of this many pixels. */
  step: number;
}

/** SD1.5, SDXL and what was made of them: four channels. */
const classic: LatentSpace = { emptyClass: "EmptyLatentImage", factor: 8, step: 8 };

/** Sixteen channels, in patches of two by two: Flux, SD3, Qwen and most models since. */
const sixteenChannels: LatentSpace = { emptyClass: "EmptySD3LatentImage", factor: 8, step: 16 };

const flux2: LatentSpace = { emptyClass: "EmptyFlux2LatentImage", factor: 16, step: 16 };

/** Up to 0.3.64 a canvas of another space was drawn on as it was, and the picture came out four times as wide and high. */
const hunyuanImage: LatentSpace = { emptyClass: "EmptyHunyuanImageLatent", factor: 32, step: 32 };

/** Newer servers bring the canvas of another space to the model's own, and with it the size. */
const unknown: LatentSpace = { ...sixteenChannels, factor: undefined };

/**
 * By the type of the text encoder, which is what a client says of its model. Chroma and Lumina 2 are not here: some of
 * their models draw in pixels.
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
