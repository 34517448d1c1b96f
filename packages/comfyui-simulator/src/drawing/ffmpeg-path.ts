import { accessSync, chmodSync, constants } from "node:fs";
import ffmpeg from "@ffmpeg-installer/ffmpeg";

/** Package managers that run no install scripts may leave the binary without its executable bit. */
export function ffmpegPath(): string {
  try {
    accessSync(ffmpeg.path, constants.X_OK);
  } catch {
    chmodSync(ffmpeg.path, 0o755);
  }
  return ffmpeg.path;
}
