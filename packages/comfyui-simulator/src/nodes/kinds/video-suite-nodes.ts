import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Picture } from "../../drawing/picture.ts";
import { pythonText } from "../../python/python-values.ts";
import { sameSize } from "./image-nodes.ts";
import { type NodeImplementation, type NodeResult, type NodeRun, NodeException } from "../node-run.ts";
import { opaque, plain, type ImageValue, type NodeValue } from "../node-values.ts";
import {
  applyOutputFaults,
  fileEntry,
  graphTexts,
  numbered,
  suitePlaceFor,
  type OutputPlace,
} from "../output-files.ts";
import { flagInput, imageInput, latentInput, numberInput, textInput } from "../read-input.ts";
import { rate } from "./saving-nodes.ts";
import { av1, vp9 } from "./video-nodes.ts";

/** VideoHelperSuite, and the ending of AnimateDiff that it replaced. */
export const videoSuiteNodes: Readonly<Record<string, NodeImplementation>> = {
  VHS_VideoCombine: combine,
  ADE_AnimateDiffCombine: (run) => {
    const format = textInput(run, "format");
    if (format.startsWith("image/")) {
      return combine(run, { savesOutput: flagInput(run, "save_image", true), isOld: true });
    }
    throw new NodeException("TypeError", "expected str, bytes or os.PathLike object, not NoneType", [
      'custom_nodes/ComfyUI-AnimateDiff-Evolved/animatediff/nodes_deprecated.py", line 359, in generate_gif',
    ]);
  },
  VHS_GetImageCount: (run) => ({ outputs: [plain(imageInput(run, "images").pictures.length)] }),
  VHS_MergeImages: (run) => {
    const pictures = [...imageInput(run, "images_A").pictures, ...imageInput(run, "images_B").pictures];
    return counted(sameSize(pictures));
  },
  VHS_DuplicateImages: (run) => {
    const { pictures } = imageInput(run, "images");
    return counted(Array.from({ length: numberInput(run, "multiply_by", 1) }, () => pictures).flat());
  },
  VHS_SelectEveryNthImage: (run) => {
    const { pictures } = imageInput(run, "images");
    const step = Math.max(1, numberInput(run, "select_every_nth", 1));
    const skip = numberInput(run, "skip_first_images");
    return counted(pictures.slice(skip).filter((_picture, index) => index % step === 0));
  },
  VHS_SplitImages: (run) => {
    const { pictures } = imageInput(run, "images");
    const at = numberInput(run, "split_index");
    return { outputs: [...counted(pictures.slice(0, at)).outputs, ...counted(pictures.slice(at)).outputs] };
  },
  VHS_MergeLatents: (run) => {
    const [first, second] = [latentInput(run, "latents_A"), latentInput(run, "latents_B")];
    const pictures = first.pictures && second.pictures && sameSize([...first.pictures, ...second.pictures]);
    const count = first.count + second.count;
    return { outputs: [{ ...first, count, pictures }, plain(count)] };
  },
  VHS_SelectFilename: (run) => {
    const files = run.inputs.get("filenames");
    return { outputs: [plain(files?.kind === "opaque" ? files.text : "")] };
  },
  VHS_Unbatch: (run) => ({ outputs: [run.inputs.get("batched") ?? plain(null)] }),
};

function counted(pictures: readonly Picture[]): NodeResult {
  const images: ImageValue = { kind: "image", pictures };
  return { outputs: [images, plain(pictures.length)] };
}

interface CombineOptions {
  readonly savesOutput: boolean;
  readonly isOld: boolean;
}

/** Writes the first frame as a PNG with the graph in it, then the animation; everything is listed under `gifs`. */
async function combine(run: NodeRun, options?: CombineOptions): Promise<NodeResult> {
  const { savesOutput, isOld } = options ?? {
    savesOutput: flagInput(run, "save_output", true),
    isOld: false,
  };
  const format = textInput(run, "format");
  const pictures = played(imageInput(run, "images").pictures, flagInput(run, "pingpong"));
  const place = suitePlaceFor(
    run,
    textInput(run, "filename_prefix", "AnimateDiff"),
    savesOutput ? "output" : "temp",
  );
  const stem = isOld
    ? `${place.name}_${numbered(place.counter)}_`
    : `${place.name}_${numbered(place.counter)}`;
  const [first] = pictures;
  if (!first) return { outputs: [plain(null)] };
  const still = path.join(place.folder, `${stem}.png`);
  await run.drawing.draw({ kind: "png", picture: first, file: still, texts: graphTexts(run), level: 4 });
  await run.wait(run.timing.saveMs);
  // The old node sends no progress while it writes.
  const writing = isOld ? { ...run, progress: () => Promise.resolve() } : run;
  const filename = await writeAnimation(writing, { place, stem, format, pictures });
  const file = path.join(place.folder, filename);
  const base = fileEntry(place, filename);
  const preview = isOld
    ? { ...base, format }
    : {
        ...base,
        format,
        frame_rate: rate(numberInput(run, "frame_rate", 8)),
        workflow: `${stem}.png`,
        fullpath: file,
      };
  return { outputs: [opaque("VHS_FILENAMES", file)] satisfies NodeValue[], ui: { gifs: [preview] } };
}

interface Animation {
  readonly place: OutputPlace;
  readonly stem: string;
  readonly format: string;
  readonly pictures: readonly Picture[];
}

/** @returns the name that the node reports, which for picture sequences is a pattern and no file (GRAPHS, 1) */
async function writeAnimation(run: NodeRun, animation: Animation): Promise<string> {
  const { place, stem, format, pictures } = animation;
  const framesPerSecond = numberInput(run, "frame_rate", 8);
  const fileOf = (extension: string): string => path.join(place.folder, `${stem}.${extension}`);
  if (format === "image/gif" || format === "image/webp") {
    const extension = format.slice("image/".length);
    const file = fileOf(extension);
    const loops = numberInput(run, "loop_count");
    const isLossless = sentFlag(run, "lossless", true);
    await frameByFrame(run, pictures.length, async (onFrame) => {
      const job = { pictures, file, framesPerSecond };
      if (extension === "gif") await run.drawing.draw({ kind: "gif", ...job, loops }, onFrame);
      else await run.drawing.draw({ kind: "animated-webp", ...job, isLossless, quality: 80 }, onFrame);
    });
    applyOutputFaults(run, file, statSync(file).size);
    return `${stem}.${extension}`;
  }
  if (format.endsWith("bit-png")) return writeSequence(run, animation);
  const { extension, encoding } = encodingOf(run, format);
  const file = fileOf(extension);
  if (encoding === undefined) {
    await frameByFrame(run, pictures.length, () => Promise.resolve());
    writeFileSync(file, "");
    return `${stem}.${extension}`;
  }
  await frameByFrame(run, pictures.length, async (onFrame) => {
    await run.drawing.draw(
      { kind: "video", pictures, file, framesPerSecond, encoding, alignment: 2 },
      onFrame,
    );
  });
  applyOutputFaults(run, file, statSync(file).size);
  return `${stem}.${extension}`;
}

async function writeSequence(run: NodeRun, { place, stem, pictures }: Animation): Promise<string> {
  for (const [index, picture] of pictures.entries()) {
    const file = path.join(place.folder, `${stem}.${String(index + 1).padStart(3, "0")}.png`);
    await run.drawing.draw({ kind: "png", picture, file, texts: new Map(), level: 4 });
    await run.progress(index + 1, pictures.length);
  }
  return `${stem}.%03d.png`;
}

/** Reports every frame as a step, in order, even if the encoder is ahead of the reports. */
async function frameByFrame(
  run: NodeRun,
  count: number,
  write: (onFrame: () => void) => Promise<void>,
): Promise<void> {
  let reported = 0;
  let reports: Promise<void> = Promise.resolve();
  let failure: { error: unknown } | undefined;
  const report = (): void => {
    if (reported >= count) return;
    const step = (reported += 1);
    reports = reports.then(async () => {
      if (failure) return;
      await run.progress(step, count).catch((error: unknown) => {
        failure = { error };
      });
    });
  };
  await write(report);
  while (reported < count) report();
  await reports;
  if (failure) throw failure.error;
}

/**
 * The encoder of a format; none if the format needs hardware that is missing, which leaves an empty file (GRAPHS, 1).
 */
function encodingOf(run: NodeRun, format: string): { extension: string; encoding: string[] | undefined } {
  const crf = (fallback: number): string =>
    String(Math.min(51, Math.max(0, sentNumber(run, "crf", fallback))));
  const fast = ["-movflags", "+faststart"];
  switch (format) {
    case "video/h264-mp4":
      return {
        extension: "mp4",
        encoding: [
          "-c:v",
          "libx264",
          "-preset",
          "veryfast",
          "-crf",
          crf(19),
          "-pix_fmt",
          pixelFormat(run, "yuv420p"),
          ...fast,
        ],
      };
    case "video/h265-mp4":
      return {
        extension: "mp4",
        encoding: [
          "-c:v",
          "libx265",
          "-preset",
          "ultrafast",
          "-x265-params",
          "log-level=none",
          "-crf",
          crf(22),
          "-pix_fmt",
          "yuv420p",
          "-vtag",
          "hvc1",
          ...fast,
        ],
      };
    case "video/webm":
      return { extension: "webm", encoding: vp9(crf(20)) };
    case "video/av1-webm":
      return { extension: "webm", encoding: av1(crf(23)) };
    case "video/ffmpeg-gif":
      return { extension: "gif", encoding: ["-vf", "split [a][b]; [a] palettegen [p]; [b][p] paletteuse"] };
    case "video/ProRes":
      return {
        extension: "mov",
        encoding: ["-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le"],
      };
    case "video/ffv1-mkv":
      return { extension: "mkv", encoding: ["-c:v", "ffv1", "-pix_fmt", "bgra"] };
    default:
      return { extension: "mp4", encoding: undefined };
  }
}

function pixelFormat(run: NodeRun, fallback: string): string {
  const sent = run.sent.get("pix_fmt");
  return sent === "yuv420p" || sent === "yuv420p10le" ? sent : fallback;
}

/** Widgets that only the chosen format has are not declared, so they arrive unchecked (GRAPHS, 3). */
function sentNumber(run: NodeRun, name: string, fallback: number): number {
  const value = Number(pythonText(run.sent.get(name) ?? fallback));
  return Number.isFinite(value) ? value : fallback;
}

function sentFlag(run: NodeRun, name: string, fallback: boolean): boolean {
  const value = run.sent.get(name);
  return typeof value === "boolean" ? value : fallback;
}

function played(pictures: readonly Picture[], isPingPong: boolean): readonly Picture[] {
  return isPingPong ? [...pictures, ...pictures.slice(1, -1).reverse()] : pictures;
}
