import { z } from "zod";
import { list } from "./setting-values.ts";

/**
 * Loaders of URLs and absolute paths, and classes that read or write whole folders, by their names in ComfyUI and in
 * well-known packs; also classes that save a trained model where every tenant's lists show it (`output/loras`).
 */
export const nodeClassesDeniedByDefault: readonly string[] = [
  ...["VHS_Load*Path", "VHS_LoadAudio", "VHS_LoadImages"],
  ...["*Load*DataSet*", "*Load*FromFolder*", "*Load*FromDir*", "*Load*Directory*", "*Load*Batch*"],
  ...["*Load*Path*", "*Load*Url*", "*Load*Http*", "*From*Url*", "*Image Load*"],
  ...["*Save*DataSet*", "*Save*ToFolder*", "*Save*LoRA*"],
];

const nodeClassPatterns = z
  .string()
  .transform(list)
  .pipe(
    z.array(z.string().max(200), {
      error: "patterns of node classes of up to 200 characters, separated by commas",
    }),
  );

/** The variables of these settings, in the order of `.env.example`. */
export const nodeClassVariables = {
  NODE_CLASSES_DENIED: nodeClassPatterns.default([...nodeClassesDeniedByDefault]),
  NODE_CLASSES_ALLOWED: nodeClassPatterns.default([]),
};
