/**
 * Families of models with video nodes in ComfyUI itself. Real definitions accept the graphs for them, but the graphs
 * were not run with real models.
 */
export const nativeFamilies = ["wan", "wan22", "ltxv", "hunyuan"] as const;
export type NativeFamily = (typeof nativeFamilies)[number];

/** The families of video models. */
export const videoFamilies = ["animatediff", ...nativeFamilies] as const;
export type VideoFamily = (typeof videoFamilies)[number];

interface FamilyFacts {
  /** Text encoder type in the loaders' lists. */
  textEncoderType: string;
  /** Widths and heights are multiples of this. */
  latentStep: number;
  /** The number of frames is a multiple of this, plus one. */
  frameStep: number;
  takesStartImage: boolean;
}

const facts: Record<NativeFamily, FamilyFacts> = {
  wan: { textEncoderType: "wan", latentStep: 16, frameStep: 4, takesStartImage: true },
  wan22: { textEncoderType: "wan", latentStep: 32, frameStep: 4, takesStartImage: true },
  ltxv: { textEncoderType: "ltxv", latentStep: 32, frameStep: 8, takesStartImage: true },
  hunyuan: {
    textEncoderType: "hunyuan_video",
    latentStep: 16,
    frameStep: 4,
    takesStartImage: false,
  },
};

export function textEncoderTypeOf(family: VideoFamily): string {
  return family === "animatediff" ? "stable_diffusion" : facts[family].textEncoderType;
}

export function latentStepOfFamily(family: VideoFamily): number {
  return family === "animatediff" ? 8 : facts[family].latentStep;
}

export function frameStepOf(family: VideoFamily): number {
  return family === "animatediff" ? 1 : facts[family].frameStep;
}

export function takesStartImage(family: VideoFamily): boolean {
  return family === "animatediff" || facts[family].takesStartImage;
}
