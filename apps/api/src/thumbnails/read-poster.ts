import { spawn } from "node:child_process";
import { accessSync, chmodSync, constants } from "node:fs";
import { NoThumbnailError } from "./no-thumbnail.ts";

/** A frame as PNG may take so many bytes; larger ones are refused. */
const frameBytesMax = 200 * 1024 * 1024;
const complaintMax = 2_000;

/**
 * The first frame of a video as PNG, by ffmpeg: a process of its own, without the environment of this one, which may read
 * this file only, in this form only, and is ended when it takes too long or too much.
 * @throws NoThumbnailError
 */
export async function readPoster(
  path: string,
  {
    ffmpegPath,
    form,
    pixelsMax,
    secondsMax,
  }: { ffmpegPath: string | null; form: string; pixelsMax: number; secondsMax: number },
): Promise<Buffer> {
  if (ffmpegPath === null)
    throw new NoThumbnailError("Posters of videos need ffmpeg, which is not here (FFMPEG_PATH).");
  const input = [
    "-protocol_whitelist",
    "file",
    "-f",
    form,
    "-max_pixels",
    String(pixelsMax),
    "-i",
    `file:${path}`,
  ];
  const output = ["-map", "0:v:0", "-frames:v", "1", "-an", "-c:v", "png", "-f", "image2pipe", "pipe:1"];
  const decoder = spawn(ffmpegPath, ["-nostdin", "-v", "error", "-threads", "1", ...input, ...output], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {},
    timeout: secondsMax * 1_000,
    killSignal: "SIGKILL",
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let complaint = "";
  decoder.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > frameBytesMax) decoder.kill("SIGKILL");
    else chunks.push(chunk);
  });
  decoder.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-complaintMax);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    decoder.once("error", reject);
    decoder.once("close", resolve);
  });
  if (code === 0 && bytes > 0) return Buffer.concat(chunks);
  const reason = complaint.replaceAll(path, "the file").trim().split("\n", 1)[0] ?? "";
  throw new NoThumbnailError(
    `The video cannot be decoded: ${reason === "" ? "it takes too long" : reason.slice(0, 200)}.`,
  );
}

/** The ffmpeg that is configured, or the one that npm has installed for this machine; `null` = there is none. */
export async function findFfmpeg(configured: string | undefined): Promise<string | null> {
  if (configured !== undefined) return configured;
  try {
    const { default: installed } = await import("@ffmpeg-installer/ffmpeg");
    try {
      accessSync(installed.path, constants.X_OK);
    } catch {
      // Package managers that run no install scripts may leave the binary without its executable bit.
      chmodSync(installed.path, 0o755);
    }
    return installed.path;
  } catch {
    return null;
  }
}
