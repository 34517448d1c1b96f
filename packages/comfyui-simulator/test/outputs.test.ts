import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import path from "node:path";
import { ALL_FORMATS, BufferSource, Input } from "mediabunny";
import sharp from "sharp";
import { startSimulator, type Simulator } from "../src/index.ts";
import { sceneGraph, TestClient, type Graph } from "./client.ts";

let simulator: Simulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await startSimulator({ timing: { loadMs: 0, stepMs: 0, saveMs: 0 } });
  client = new TestClient(simulator.url, "outputs");
  await client.connect();
});
afterAll(async () => {
  await client.close();
  await simulator.stop();
});

interface OutputFile {
  readonly filename: string;
  readonly subfolder: string;
}

/** Runs a graph and fetches the only file of its output node. */
async function fileOf(
  graph: Graph,
  nodeId: string,
  key: string,
): Promise<{ bytes: Buffer; type: string | null }> {
  const entry = await client.run(graph);
  const outputs = entry["outputs"] as Record<string, Record<string, OutputFile[]>>;
  const file = outputs[nodeId]![key]![0]!;
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: "output" });
  const reply = await fetch(`${simulator.url}/view?${query.toString()}`);
  expect(reply.status).toBe(200);
  return { bytes: Buffer.from(await reply.arrayBuffer()), type: reply.headers.get("content-type") };
}

const save: Graph = {
  "7": { class_type: "SaveImage", inputs: { images: ["6", 0], filename_prefix: "pic" } },
};

test("a picture has the size asked for and carries its graph", async () => {
  const graph = sceneGraph({ prompt: "1girl, night city", seed: 7, size: 320 }, save);
  const { bytes, type } = await fileOf(graph, "7", "images");
  expect(type).toBe("image/png");
  const metadata = await sharp(bytes).metadata();
  expect([metadata.format, metadata.width, metadata.height, metadata.channels]).toEqual(["png", 320, 320, 3]);
  const comment = metadata.comments?.find(({ keyword }) => keyword === "prompt");
  expect(JSON.parse(comment!.text)).toEqual(graph);
});

test("the same seed and prompt draw the same picture, another seed another one", async () => {
  const pixels = async (seed: number, prefix: string): Promise<Buffer> => {
    const ending = {
      "7": { class_type: "SaveImage", inputs: { images: ["6", 0], filename_prefix: prefix } },
    };
    const { bytes } = await fileOf(sceneGraph({ prompt: "sunset ocean", seed }, ending), "7", "images");
    return sharp(bytes).raw().toBuffer();
  };
  const [first, other, again] = [await pixels(1, "a"), await pixels(2, "b"), await pixels(1, "c")];
  expect(first.equals(again)).toBe(true);
  expect(first.equals(other)).toBe(false);
});

test("an animated WebP holds every frame", async () => {
  const ending = {
    "7": {
      class_type: "SaveAnimatedWEBP",
      inputs: {
        images: ["6", 0],
        filename_prefix: "anim",
        fps: 8,
        lossless: false,
        quality: 80,
        method: "default",
      },
    },
  };
  const { bytes, type } = await fileOf(
    sceneGraph({ prompt: "sakura", seed: 3, frames: 8 }, ending),
    "7",
    "images",
  );
  const metadata = await sharp(bytes, { animated: true }).metadata();
  expect([type, metadata.format, metadata.pages, metadata.width]).toEqual(["image/webp", "webp", 8, 256]);
  expect(metadata.delay).toEqual(Array.from({ length: 8 }, () => 125));
});

test.each([
  ["VHS_VideoCombine h264", "video/h264-mp4", "avc", "video/mp4"],
  ["VHS_VideoCombine webm", "video/webm", "vp9", "video/webm"],
])("%s writes a playable video", async (_name, format, codec, mediaType) => {
  const ending = {
    "7": {
      class_type: "VHS_VideoCombine",
      inputs: {
        images: ["6", 0],
        frame_rate: 8,
        loop_count: 0,
        filename_prefix: "clips/vhs",
        format,
        pingpong: false,
        save_output: true,
      },
    },
  };
  const { bytes, type } = await fileOf(
    sceneGraph({ prompt: "summer", seed: 4, frames: 12 }, ending),
    "7",
    "gifs",
  );
  expect(type).toBe(mediaType);
  await expectVideo(bytes, { codec, frames: 12, seconds: 1.5 });
});

test("SaveVideo writes an MP4 that can be played while it loads", async () => {
  const ending = {
    "7": { class_type: "CreateVideo", inputs: { images: ["6", 0], fps: 8 } },
    "8": {
      class_type: "SaveVideo",
      inputs: { video: ["7", 0], filename_prefix: "clips/core", format: "mp4", codec: "h264" },
    },
  };
  const { bytes } = await fileOf(sceneGraph({ prompt: "winter", seed: 5, frames: 8 }, ending), "8", "images");
  await expectVideo(bytes, { codec: "avc", frames: 8, seconds: 1 });
  expect(bytes.indexOf("moov")).toBeLessThan(bytes.indexOf("mdat"));
});

test("image to image starts from the uploaded picture", async () => {
  const red = await sharp({ create: { width: 256, height: 256, channels: 3, background: "#ff0000" } })
    .png()
    .toBuffer();
  const form = new FormData();
  form.append("image", new Blob([new Uint8Array(red)], { type: "image/png" }), "red one.png");
  const upload = await fetch(`${simulator.url}/upload/image`, { method: "POST", body: form });
  const { name } = (await upload.json()) as { name: string };
  expect(name).toBe("red one.png");
  const graph = sceneGraph({ prompt: "ocean", seed: 6 }, save);
  graph["20"] = { class_type: "LoadImage", inputs: { image: name } };
  graph["21"] = { class_type: "VAEEncode", inputs: { pixels: ["20", 0], vae: ["1", 2] } };
  graph["5"]!.inputs["latent_image"] = ["21", 0];
  graph["5"]!.inputs["denoise"] = 0.3;
  const { bytes } = await fileOf(graph, "7", "images");
  const { channels } = await sharp(bytes).stats();
  expect(channels[0]!.mean).toBeGreaterThan(200);
  expect(channels[2]!.mean).toBeLessThan(80);
});

test("image nodes change pixels: scale, invert, blur, blend, batch", async () => {
  const graph: Graph = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 32, batch_size: 1, color: 0x204060 } },
    "2": { class_type: "ImageInvert", inputs: { image: ["1", 0] } },
    "3": {
      class_type: "ImageBlend",
      inputs: { image1: ["1", 0], image2: ["2", 0], blend_factor: 0.5, blend_mode: "normal" },
    },
    "4": { class_type: "ImageBlur", inputs: { image: ["3", 0], blur_radius: 2, sigma: 1 } },
    "5": { class_type: "ImageScaleBy", inputs: { image: ["4", 0], upscale_method: "bicubic", scale_by: 2 } },
    "6": { class_type: "ImageBatch", inputs: { image1: ["5", 0], image2: ["2", 0] } },
    "7": { class_type: "SaveImage", inputs: { images: ["6", 0], filename_prefix: "mixed" } },
  };
  const entry = await client.run(graph);
  const outputs = entry["outputs"] as Record<string, Record<string, OutputFile[]>>;
  const files = outputs["7"]!["images"]!.map(({ filename }) => path.join(simulator.outputDir, filename));
  const pictures = await Promise.all(
    files.map((file) => sharp(readFileSync(file)).raw().toBuffer({ resolveWithObject: true })),
  );
  expect(pictures.map(({ info }) => [info.width, info.height])).toEqual([
    [128, 64],
    [128, 64],
  ]);
  expect([...pictures[0]!.data.subarray(0, 3)].every((value) => Math.abs(value - 128) <= 2)).toBe(true);
  expect([...pictures[1]!.data.subarray(0, 3)]).toEqual([0xdf, 0xbf, 0x9f]);
});

async function expectVideo(
  bytes: Buffer,
  expected: { codec: string; frames: number; seconds: number },
): Promise<void> {
  const input = new Input({ formats: ALL_FORMATS, source: new BufferSource(new Uint8Array(bytes)) });
  const track = await input.getPrimaryVideoTrack();
  const size = [await track!.getDisplayWidth(), await track!.getDisplayHeight()];
  expect([await track!.getCodec(), ...size]).toEqual([expected.codec, 256, 256]);
  const statistics = await track!.computePacketStats();
  expect(statistics.packetCount).toBe(expected.frames);
  expect(await input.computeDuration()).toBeCloseTo(expected.seconds, 1);
  input.dispose();
}

/** Stores a file in the server's input folder. @returns the name by which loaders find it */
async function upload(bytes: Buffer, filename: string): Promise<string> {
  const form = new FormData();
  form.append("image", new Blob([new Uint8Array(bytes)]), filename);
  const reply = await fetch(`${simulator.url}/upload/image`, { method: "POST", body: form });
  return ((await reply.json()) as { name: string }).name;
}

test("LoadVideo gives the frames of a video at its rate", async () => {
  const video = { "7": { class_type: "CreateVideo", inputs: { images: ["6", 0], fps: 8 } } };
  const ending = (from: string): Graph => ({
    "8": {
      class_type: "SaveVideo",
      inputs: { video: [from, 0], filename_prefix: "clips/loaded", format: "mp4", codec: "h264" },
    },
  });
  const scene = sceneGraph({ prompt: "autumn", seed: 8, frames: 8 }, { ...video, ...ending("7") });
  const first = await fileOf(scene, "8", "images");
  const file = await upload(first.bytes, "autumn.mp4");
  const loaded = { "1": { class_type: "LoadVideo", inputs: { file } }, ...ending("1") };
  await expectVideo((await fileOf(loaded, "8", "images")).bytes, { codec: "avc", frames: 8, seconds: 1 });
  const frames: Graph = {
    "1": { class_type: "LoadVideo", inputs: { file } },
    "2": { class_type: "GetVideoComponents", inputs: { video: ["1", 0] } },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "frame" } },
  };
  const { outputs } = (await client.run(frames)) as { outputs: Record<string, { images: unknown[] }> };
  expect(outputs["3"]!.images).toHaveLength(8);
});

test("LoadAudio gives a sound as long as its file", async () => {
  const ending = (from: string): Graph => ({
    "2": { class_type: "SaveAudio", inputs: { audio: [from, 0], filename_prefix: "sound" } },
  });
  const silence = { class_type: "EmptyAudio", inputs: { duration: 1.5, sample_rate: 22_050, channels: 1 } };
  const made = await fileOf({ "1": silence, ...ending("1") }, "2", "audio");
  const audio = await upload(made.bytes, "silence.flac");
  const loaded = { "1": { class_type: "LoadAudio", inputs: { audio } }, ...ending("1") };
  const { bytes } = await fileOf(loaded, "2", "audio");
  const track = await new Input({
    source: new BufferSource(bytes),
    formats: ALL_FORMATS,
  }).getPrimaryAudioTrack();
  const facts = [
    await track!.getDurationFromMetadata(),
    await track!.getSampleRate(),
    await track!.getNumberOfChannels(),
  ];
  expect(facts).toEqual([1.5, 22_050, 1]);
});
