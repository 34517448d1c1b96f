/**
 * How many frames a motion module of AnimateDiff can do at once is written in its file, and often in its name; longer
 * videos need sliding windows (GRAPHS, "Video"). These are the widely used modules, by the file names that their
 * authors gave them.
 */
const framesMaxByModule: readonly [RegExp, number][] = [
  [/(^|[\\/])mm_sd_v1[45]\.(ckpt|safetensors)$/i, 24],
  [/(^|[\\/])(mm_sd_v15_v2|v3_sd15_mm|mm_sdxl_v10_beta)\.(ckpt|safetensors)$/i, 32],
  [/(^|[\\/])AnimateLCM_sd15_t2v\.(ckpt|safetensors)$/i, 64],
];

/** The limit of an unknown module. Most modules end at 32 frames; some (AnimateLCM, long modules) end at 64. */
export const framesMaxUsually = 32;

/** The limit of a motion module by the name of its file; `undefined` where the name does not tell. */
export function framesMaxOfModule(filename: string): number | undefined {
  return framesMaxByModule.find(([pattern]) => pattern.test(filename))?.[1];
}
