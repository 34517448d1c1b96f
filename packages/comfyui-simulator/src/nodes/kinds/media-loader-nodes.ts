import { mkdtempSync } from "node:fs";
import path from "node:path";
import { decodeFrames, type MediaTracks, readTracks } from "../../drawing/video-decoder.ts";
import { NodeException, type NodeImplementation, type NodeRun } from "../node-run.ts";
import { textInput } from "../read-input.ts";

/** The core nodes that load videos and sounds. Here a video is decoded when it is loaded. */
export const mediaLoaderNodes: Readonly<Record<string, NodeImplementation>> = {
  LoadVideo: async (run) => {
    const file = run.folders.annotatedPath(textInput(run, "file"));
    const { video } = await tracksOf(file);
    if (video === null) throw new NodeException("ValueError", `No video stream found in file '${file}'`);
    const { width, height, framesPerSecond } = video;
    const frames = await decodeFrames(file, mkdtempSync(path.join(run.folders.temp, "decoded-")));
    const pictures = frames.map((frame) => ({ op: "file", path: frame, width, height }) as const);
    return { outputs: [{ kind: "video", pictures, framesPerSecond }] };
  },
  LoadAudio: async (run: NodeRun) => {
    const { audio } = await tracksOf(run.folders.annotatedPath(textInput(run, "audio")));
    if (audio === null) throw new NodeException("ValueError", "No audio stream found in the file.");
    return { outputs: [{ kind: "audio", ...audio }] };
  },
};

async function tracksOf(file: string): Promise<MediaTracks> {
  const tracks = await readTracks(file);
  if (tracks !== null) return tracks;
  throw new NodeException(
    "av.error.InvalidDataError",
    `[Errno 1094995529] Invalid data found when processing input: '${file}'`,
  );
}
