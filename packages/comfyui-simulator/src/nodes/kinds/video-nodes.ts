import path from "node:path";
import { NodeException, type NodeImplementation, type NodeRun } from "../node-run.ts";
import { opaque, plain, type VideoValue } from "../node-values.ts";
import { fileEntry, numbered, placeFor } from "../output-files.ts";
import { imageInput, numberInput, textInput } from "../read-input.ts";
import { animated, rate } from "./saving-nodes.ts";

const h264 = [
  "-c:v",
  "libx264",
  "-preset",
  "veryfast",
  "-crf",
  "20",
  "-pix_fmt",
  "yuv420p",
  "-movflags",
  "+faststart",
];

/** The core video nodes. */
export const videoNodes: Readonly<Record<string, NodeImplementation>> = {
  CreateVideo: (run) => ({
    outputs: [
      {
        kind: "video",
        pictures: imageInput(run, "images").pictures,
        framesPerSecond: numberInput(run, "fps", 30),
      },
    ],
  }),
  GetVideoComponents: (run) => {
    const video = videoInput(run);
    const images = { kind: "image", pictures: video.pictures } as const;
    return { outputs: [images, opaque("AUDIO"), plain(rate(video.framesPerSecond))] };
  },
  SaveVideo: async (run) => {
    const { pictures, framesPerSecond } = videoInput(run);
    const format = textInput(run, "format", "auto");
    const codec = textInput(run, "codec", "auto");
    if (!["auto", "mp4"].includes(format)) {
      throw new NodeException("ValueError", `'${format}' is not a valid VideoContainer`);
    }
    if (!["auto", "h264"].includes(codec)) {
      throw new NodeException("ValueError", `'${codec}' is not a valid VideoCodec`);
    }
    const [first] = pictures;
    if (first && (first.width % 2 === 1 || first.height % 2 === 1)) {
      throw new NodeException(
        "av.error.ExternalError",
        "[Errno 542398533] Generic error in an external library: 'avcodec_open2(\"libx264\", {})'",
      );
    }
    const place = placeFor(run, textInput(run, "filename_prefix", "video/ComfyUI"), "output", first);
    const filename = `${place.name}_${numbered(place.counter)}_.mp4`;
    const file = path.join(place.folder, filename);
    await run.wait(run.timing.saveMs);
    await run.drawing.draw({ kind: "video", pictures, file, framesPerSecond, encoding: h264, alignment: 1 });
    return animated(run, file, fileEntry(place, filename));
  },
  SaveWEBM: async (run) => {
    const { pictures } = imageInput(run, "images");
    const place = placeFor(run, textInput(run, "filename_prefix", "ComfyUI"), "output", pictures[0]);
    const filename = `${place.name}_${numbered(place.counter)}_.webm`;
    const file = path.join(place.folder, filename);
    const crf = String(Math.round(numberInput(run, "crf", 32)));
    await run.wait(run.timing.saveMs);
    await run.drawing.draw({
      kind: "video",
      pictures,
      file,
      framesPerSecond: numberInput(run, "fps", 24),
      encoding: textInput(run, "codec") === "av1" ? av1(crf) : vp9(crf),
      alignment: 1,
    });
    return animated(run, file, fileEntry(place, filename));
  },
};

export function vp9(crf: string): string[] {
  return [
    "-c:v",
    "libvpx-vp9",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-crf",
    crf,
    "-b:v",
    "0",
    "-pix_fmt",
    "yuv420p",
  ];
}

export function av1(crf: string): string[] {
  const speed = ["-cpu-used", "8", "-strict", "experimental"];
  return ["-c:v", "libaom-av1", ...speed, "-crf", crf, "-b:v", "0", "-pix_fmt", "yuv420p"];
}

function videoInput(run: NodeRun): VideoValue {
  const value = run.inputs.get("video");
  if (value?.kind === "video") return value;
  throw new NodeException("AttributeError", "'NoneType' object has no attribute 'get_dimensions'");
}
