import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { ALL_FORMATS, FilePathSource, Input, type InputAudioTrack } from "mediabunny";
import { ffmpegPath } from "./ffmpeg-path.ts";

/** What a media file says of its tracks; `null` = it has no such track. */
export interface MediaTracks {
  readonly video: {
    readonly width: number;
    readonly height: number;
    readonly framesPerSecond: number;
  } | null;
  readonly audio: { readonly samples: number; readonly sampleRate: number; readonly channels: number } | null;
}

/** @returns `null` for a file that is neither video nor audio */
export async function readTracks(file: string): Promise<MediaTracks | null> {
  const source = new FilePathSource(file, { handleUnhandledError: () => undefined });
  const input = new Input({ source, formats: ALL_FORMATS });
  try {
    if (!(await input.canRead())) return null;
    const [video, audio] = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()];
    return {
      video: video && {
        width: await video.getDisplayWidth(),
        height: await video.getDisplayHeight(),
        framesPerSecond: (await video.computePacketStats()).averagePacketRate,
      },
      audio: audio && {
        samples: Math.round((await secondsOf(audio)) * (await audio.getSampleRate())),
        sampleRate: await audio.getSampleRate(),
        channels: await audio.getNumberOfChannels(),
      },
    };
  } finally {
    input.dispose();
  }
}

/** The length by the packets of some FLAC files is short by the last packet; that in their header is right. */
async function secondsOf(audio: InputAudioTrack): Promise<number> {
  return (await audio.getDurationFromMetadata()) ?? (await audio.computeDuration());
}

/** Writes every frame of a video into an empty folder. @returns the files, in the order of the frames */
export async function decodeFrames(video: string, folder: string): Promise<string[]> {
  const everyFrame = ["-map", "0:v:0", "-vsync", "0", path.join(folder, "%08d.png")];
  await promisify(execFile)(ffmpegPath(), ["-hide_banner", "-loglevel", "error", "-i", video, ...everyFrame]);
  return readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name));
}
