/**
 * How many frames a motion module of AnimateDiff can do at once is written in its file, and often in its name; longer
 * videos need sliding windows (GRAPHS, "Video"). These are the modules that everybody has, as their authors name them.
 */
const framesMaxByModule: readonly [RegExp, number][] = [
  [/(^|[\\/])mm_sd_v1[45]\.(ckpt|safetensors)$/i, 24],
  [/(^|[\\/])(mm_sd_v15_v2|v3_sd15_mm|mm_sdxl_v10_beta)\.(ckpt|safetensors)$/i, 32],
  [/(^|[\\/])AnimateLCM_sd15_t2v\.(ckpt|safetensors)$/i, 64],
];

/** Where the module is not known: most end here, some (AnimateLCM, long modules) at 64. */
export const framesMaxUsually = 32;

/** The limit of a motion module by the name of its file; `undefined` where the name does not tell. */
export function framesMaxOfModule(filename: string): number | undefined {
  return framesMaxByModule.find(([pattern]) => pattern.test(filename))?.[1];
}
