/** A class that checks by itself whether the file named by one of its inputs exists. */
interface FileInput {
  readonly input: string;
  readonly noun: string;
}

const fileInputs: Readonly<Record<string, FileInput>> = {
  LoadImage: { input: "image", noun: "image" },
  LoadImageMask: { input: "image", noun: "image" },
  LoadImageOutput: { input: "image", noun: "image" },
  LoadLatent: { input: "latent", noun: "latent" },
  LoadAudio: { input: "audio", noun: "audio" },
  LoadVideo: { input: "file", noun: "video" },
  VHS_LoadVideo: { input: "video", noun: "video" },
  VHS_LoadVideoFFmpeg: { input: "video", noun: "video" },
};

/** The file input of a class, if it has one; its list of accepted values is not checked then. */
export function fileInputOf(className: string): FileInput | undefined {
  return Object.hasOwn(fileInputs, className) ? fileInputs[className] : undefined;
}

/**
 * Whether a class checks the value of an input by itself; the list of accepted values and the range are then ignored.
 */
export function checksItself(className: string, input: string): boolean {
  return className === "CustomCombo" || fileInputOf(className)?.input === input;
}
