import { spawn } from "node:child_process";
import { once } from "node:events";
import { type Writable } from "node:stream";
import { type DrawingJob } from "./drawing-job.ts";
import { ffmpegPath } from "./ffmpeg-path.ts";
import { type Pixels } from "./png.ts";
import { renderPicture } from "./render-picture.ts";

/** Draws the frames one by one into an encoder; only one is in memory at a time. */
export async function encodeVideo(
  job: Extract<DrawingJob, { kind: "video" }>,
  onFrame: () => void,
): Promise<void> {
  const [first] = job.pictures;
  if (!first) throw new RangeError("a video needs a frame");
  const width = aligned(first.width, job.alignment);
  const height = aligned(first.height, job.alignment);
  const input = [
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    `${width}x${height}`,
    "-r",
    `${job.framesPerSecond}`,
  ];
  const { stdin, ended } = startEncoder([...input, "-i", "-", "-an", ...job.encoding, job.file]);
  try {
    for (const picture of job.pictures) {
      const frame = padded(await renderPicture(picture), width, height);
      if (!stdin.write(frame)) await Promise.race([once(stdin, "drain"), ended]);
      onFrame();
    }
  } finally {
    stdin.end();
  }
  await succeeded(ended);
}

/** Writes an audio file of silence. */
export async function encodeSilence(job: Extract<DrawingJob, { kind: "silence" }>): Promise<void> {
  const { samples, sampleRate, channels } = job;
  const input = ["-f", "s16le", "-ar", `${sampleRate}`, "-ac", `${channels}`, "-i", "-"];
  const { stdin, ended } = startEncoder([...input, job.file]);
  const second = Buffer.alloc(sampleRate * channels * 2);
  for (let written = 0; written < samples; written += sampleRate) {
    const part = second.subarray(0, Math.min(sampleRate, samples - written) * channels * 2);
    if (!stdin.write(part)) await Promise.race([once(stdin, "drain"), ended]);
  }
  stdin.end();
  await succeeded(ended);
}

interface Encoder {
  readonly stdin: Writable;
  readonly ended: Promise<{ readonly code: number | null; readonly complaint: string }>;
}

function startEncoder(options: readonly string[]): Encoder {
  const quiet = ["-hide_banner", "-loglevel", "error", "-y"];
  const encoder = spawn(ffmpegPath(), [...quiet, ...options], { stdio: ["pipe", "ignore", "pipe"] });
  let complaint = "";
  encoder.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2_000);
  });
  // A broken pipe only shows that the encoder ended; its exit code and its error output show why.
  encoder.stdin.on("error", () => undefined);
  const ended = new Promise<{ code: number | null; complaint: string }>((resolve) =>
    encoder.once("close", (code) => {
      resolve({ code, complaint });
    }),
  );
  return { stdin: encoder.stdin, ended };
}

async function succeeded(ended: Encoder["ended"]): Promise<void> {
  const { code, complaint } = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with ${String(code)}: ${complaint.trim()}`);
}

function aligned(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

function padded({ width, height, rgb }: Pixels, toWidth: number, toHeight: number): Uint8Array {
  if (width === toWidth && height === toHeight) return rgb;
  const larger = new Uint8Array(toWidth * toHeight * 3);
  for (let y = 0; y < height; y += 1)
    larger.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), y * toWidth * 3);
  return larger;
}
