import { type ObjectInfo } from "@genga/comfyui";
import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { filenamePrefix } from "./graph-stages.ts";
import { type VideoFormat } from "./video-parameters.ts";

/** One way to turn frames into a file. */
export interface VideoEnding {
  format: VideoFormat;
  /** The node classes that a server must have for it. */
  classTypes: readonly string[];
  add(graph: GraphBuilder, frames: Output, fps: number): void;
}

/**
 * In order of preference: mp4 plays everywhere, VideoHelperSuite writes it with the better settings. All of these ended
 * in a file on a real server (GRAPHS, Video); `ADE_AnimateDiffCombine` fails there and is never used.
 */
const videoEndings: readonly VideoEnding[] = [
  videoHelperSuite("mp4", "video/h264-mp4", {
    pix_fmt: "yuv420p",
    crf: 19,
    save_metadata: true,
    trim_to_audio: false,
  }),
  {
    format: "mp4",
    classTypes: ["CreateVideo", "SaveVideo"],
    add: (graph, images, fps) => {
      const video = graph.add("CreateVideo", "Join frames", { images, fps }, { fps: "fps" });
      graph.add(
        "SaveVideo",
        "Save video",
        { video: video(0), filename_prefix: filenamePrefix, format: "mp4", codec: "h264" },
        { format: "format" },
      );
    },
  },
  videoHelperSuite("webm", "video/webm", {
    pix_fmt: "yuv420p",
    crf: 20,
    save_metadata: true,
    trim_to_audio: false,
  }),
  {
    format: "webm",
    classTypes: ["SaveWEBM"],
    add: (graph, images, fps) => {
      const inputs = { images, filename_prefix: filenamePrefix, codec: "vp9", fps, crf: 32 };
      graph.add("SaveWEBM", "Save video", inputs, { fps: "fps", codec: "format" });
    },
  },
  {
    format: "webp",
    classTypes: ["SaveAnimatedWEBP"],
    add: (graph, images, fps) => {
      const quality = { lossless: false, quality: 90, method: "default" };
      const inputs = { images, filename_prefix: filenamePrefix, fps, ...quality };
      graph.add("SaveAnimatedWEBP", "Save video", inputs, { fps: "fps" });
    },
  },
  videoHelperSuite("webp", "image/webp", {}),
  videoHelperSuite("gif", "image/gif", {}),
];

/** The endings of this format (any format when absent), best first. */
export function endingsOf(format: VideoFormat | undefined): VideoEnding[] {
  return videoEndings.filter((ending) => format === undefined || ending.format === format);
}

/** The best ending for which this server has the nodes; `undefined` = it has none. */
export function endingFor(format: VideoFormat | undefined, objectInfo: ObjectInfo): VideoEnding | undefined {
  return endingsOf(format).find(({ classTypes }) =>
    classTypes.every((classType) => Object.hasOwn(objectInfo, classType)),
  );
}

function videoHelperSuite(
  format: VideoFormat,
  suiteFormat: string,
  settings: Record<string, string | number | boolean>,
): VideoEnding {
  return {
    format,
    classTypes: ["VHS_VideoCombine"],
    add: (graph, images, fps) => {
      graph.add(
        "VHS_VideoCombine",
        "Save video",
        {
          images,
          frame_rate: fps,
          loop_count: 0,
          filename_prefix: filenamePrefix,
          format: suiteFormat,
          pingpong: false,
          save_output: true,
          ...settings,
        },
        { frame_rate: "fps", format: "format" },
      );
    },
  };
}
