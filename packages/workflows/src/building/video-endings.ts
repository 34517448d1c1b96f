import { type ObjectInfo } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";
import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { filenamePrefix } from "./graph-stages.ts";
import { type VideoFormat, type VideoParameters, type VideoWriter } from "../parameters/video-parameters.ts";

/** The parameters of a video that an ending needs. */
type Asked = Pick<VideoParameters, "fps" | "stripMetadata">;

/** The client's conditions for the ending. */
export type Wanted = Pick<VideoParameters, "format" | "writer">;

/** One way to turn frames into a file. */
export interface VideoEnding {
  format: VideoFormat;
  writer: VideoWriter;
  /** The node classes that a server must have for this ending. */
  classTypes: readonly string[];
  add(graph: GraphBuilder, frames: Output, asked: Asked): void;
}

/**
 * In order of preference: mp4 plays everywhere, and VideoHelperSuite writes mp4 with better settings. Each of these
 * endings wrote a file on a real server (GRAPHS, Video); `ADE_AnimateDiffCombine` fails there and is never used.
 */
const videoEndings: readonly VideoEnding[] = [
  videoHelperSuite("mp4", "video/h264-mp4", {
    pix_fmt: "yuv420p",
    crf: 19,
  }),
  {
    format: "mp4",
    writer: "core",
    classTypes: ["CreateVideo", "SaveVideo"],
    add: (graph, images, { fps }) => {
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
  }),
  {
    format: "webm",
    writer: "core",
    classTypes: ["SaveWEBM"],
    add: (graph, images, { fps }) => {
      const inputs = { images, filename_prefix: filenamePrefix, codec: "vp9", fps, crf: 32 };
      graph.add("SaveWEBM", "Save video", inputs, { fps: "fps", codec: "format" });
    },
  },
  {
    format: "webp",
    writer: "core",
    classTypes: ["SaveAnimatedWEBP"],
    add: (graph, images, { fps }) => {
      const quality = { lossless: false, quality: 90, method: "default" };
      const inputs = { images, filename_prefix: filenamePrefix, fps, ...quality };
      graph.add("SaveAnimatedWEBP", "Save video", inputs, { fps: "fps" });
    },
  },
  videoHelperSuite("webp", "image/webp", {}),
  videoHelperSuite("gif", "image/gif", {}),
];

/** The endings that meet the client's conditions, best first. */
export function endingsOf({ format, writer }: Wanted): VideoEnding[] {
  return videoEndings.filter(
    (ending) =>
      (format === undefined || ending.format === format) &&
      (writer === undefined || ending.writer === writer),
  );
}

/** The best ending for which this server has the nodes; `undefined` if it has none. */
export function endingFor(wanted: Wanted, objectInfo: ObjectInfo): VideoEnding | undefined {
  return endingsOf(wanted).find(({ classTypes }) =>
    classTypes.every((classType) => Object.hasOwn(objectInfo, classType)),
  );
}

/** The problem that no known server can write the requested video. */
export function missingEnding({ format, writer }: Wanted): JobProblem {
  const ways = endingsOf({ format, writer }).map(({ classTypes }) => classTypes.join(" with "));
  const accepted = [...new Set(ways)];
  return {
    path: format === undefined && writer !== undefined ? "writer" : "format",
    code: "unknown-node-class",
    message: `No known server can write ${format === undefined ? "a video" : `a video as ${format}`}: it needs ${accepted.join(", or ")}.`,
    accepted,
    ...(format === undefined ? {} : { received: format }),
  };
}

function videoHelperSuite(
  format: VideoFormat,
  suiteFormat: string,
  settings: Record<string, string | number | boolean>,
): VideoEnding {
  return {
    format,
    writer: "video-helper-suite",
    classTypes: ["VHS_VideoCombine"],
    add: (graph, images, { fps, stripMetadata }) => {
      // The image formats do not have these settings.
      const more = suiteFormat.startsWith("video/")
        ? { save_metadata: stripMetadata !== true, trim_to_audio: false }
        : {};
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
          ...more,
        },
        { frame_rate: "fps", format: "format" },
      );
    },
  };
}
