import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ApiClient, type JobAnswer, type OutputAnswer } from "@genga/testing";
import sharp from "sharp";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// One API, one worker, one simulated server: from a client's bytes to a server's input folder, and from its files back.

let stack: TestStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startTestStack();
  ({ api } = stack);
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

interface Uploaded {
  id: string;
  name: string;
}

async function upload(color: string, url = stack.url, key?: string): Promise<Uploaded> {
  const image = sharp({ create: { width: 256, height: 320, channels: 3, background: color } });
  const response = await fetch(`${url}/api/anime/uploads`, {
    method: "POST",
    headers: { "content-type": "image/png", ...(key !== undefined && { authorization: `Bearer ${key}` }) },
    body: new Uint8Array(await image.png().toBuffer()),
  });
  expect(response.status).toBe(201);
  return (await response.json()) as Uploaded;
}

const inputFolder = (): string => join(stack.folder, "comfyui-0", "input", "genga");

async function run(body: object): Promise<{ job: JobAnswer; outputs: OutputAnswer[] }> {
  const job = await api.untilEnded(await api.submit(body));
  return { job, outputs: await api.outputs(job.id) };
}

async function bytesOf(output: OutputAnswer | undefined): Promise<Buffer> {
  const response = await fetch(`${stack.url}/api/anime/outputs/${output?.id ?? ""}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}

/** How blue a picture is, from 0 to 255. */
async function blueOf(picture: Buffer): Promise<number> {
  const { channels } = await sharp(picture).stats();
  return channels[2]?.mean ?? 0;
}

describe("an upload", () => {
  const asked = { type: "image", prompt: "a lighthouse", steps: 2, denoise: 0.05, seed: 7 };

  test("reaches the server that needs it, once, and shows in the picture", async () => {
    const [blue, red] = await Promise.all([upload("#0000ff"), upload("#ff0000")]);
    const first = await run({ ...asked, initImage: blue.id });
    const second = await run({ ...asked, initImage: blue.id, seed: 8 });
    const third = await run({ ...asked, initImage: red.id });
    for (const { job, outputs } of [first, second, third]) {
      expect(job).toMatchObject({ status: "completed", attempt: 1 });
      expect(outputs).toMatchObject([{ width: 256, height: 320, mediaType: "image/png" }]);
    }
    expect(await blueOf(await bytesOf(first.outputs[0]))).toBeGreaterThan(
      (await blueOf(await bytesOf(third.outputs[0]))) + 100,
    );
    const [folder = "", ...others] = await readdir(inputFolder());
    expect([folder, others]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), []]);
    const sent = await readdir(join(inputFolder(), folder));
    expect(sent).toEqual(Array(2).fill(expect.stringMatching(/^[0-9a-f]{32}\.png$/)));
    for (const { name } of [blue, red]) expect(sent.join()).not.toContain(name.slice(6, 6 + 32));
  });

  test("is sent again to a server that lost it", async () => {
    const image = await upload("#00ff00");
    expect((await run({ ...asked, initImage: image.id })).job.status).toBe("completed");
    await rm(inputFolder(), { recursive: true });
    expect((await run({ ...asked, initImage: image.id, seed: 8 })).job).toMatchObject({
      status: "completed",
      attempt: 1,
    });
  });

  test("serves as a mask, as a video's first frame, and in a raw workflow", async () => {
    const [image, mask] = await Promise.all([upload("#123456"), upload("#ffffff")]);
    const video = { type: "video", prompt: "waves", steps: 1, width: 256, height: 256, durationSeconds: 1 };
    const workflow = {
      "1": { class_type: "LoadImage", inputs: { image: image.name } },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "copy" } },
    };
    const runs = await Promise.all([
      run({ ...asked, initImage: image.id, mask: mask.id, denoise: 1 }),
      run({ ...video, initImage: image.id, denoise: 0.5 }),
      run({ type: "workflow", workflow }),
    ]);
    expect(runs.map(({ job }) => [job.status, job.failure])).toEqual(runs.map(() => ["completed", null]));
    expect(runs[1].outputs[0]).toMatchObject({ mediaType: "video/mp4", width: 256, durationMs: 1000 });
  });
});

describe("another tenant's picture", () => {
  const keys = { own: "key-of-studio", other: "key-of-atelier" };
  let shared: TestStack;

  beforeAll(async () => {
    const env = { API_KEYS: `studio:${keys.own},atelier:${keys.other}` };
    shared = await startTestStack({ env });
  }, 180_000);
  afterAll(async () => {
    await shared.stop();
  }, 180_000);

  const rawJob = (image: unknown): object => ({
    type: "workflow",
    workflow: {
      "1": { class_type: "LoadImage", inputs: { image } },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "copy" } },
    },
  });

  test("comes back in no spelling of its name, alone or in a batch, and its owner's own does", async () => {
    const owner = new ApiClient(shared.url, keys.other);
    const { name } = await upload("#0000ff", shared.url, keys.other);
    const copies = [name, `${name} [input]`, { __value__: name }].map(async (image) => {
      const job = await owner.untilEnded(await owner.submit(rawJob(image)));
      expect([image, job.status, job.failure]).toEqual([image, "completed", null]);
      return job.id;
    });
    await Promise.all(copies);
    const folder = join(shared.folder, "comfyui-0");
    const filesOf = async (type: string): Promise<string[]> =>
      (await readdir(join(folder, type, "genga"), { recursive: true })).filter((file) =>
        file.endsWith(".png"),
      );
    const [inputs, outputs] = [await filesOf("input"), await filesOf("output")];
    expect([inputs.length, outputs.length]).toEqual([1, 3]);

    // Also by the names that nobody can know.
    const files = [
      { path: name, type: "input" },
      { path: `genga/${inputs[0] ?? ""}`, type: "input" },
      { path: `genga/${outputs[0] ?? ""}`, type: "output" },
    ];
    const spellings = files.flatMap(({ path, type }) => [
      ...[`${path} [${type}]`, `./${path} [${type}]`, `${path.replace("/", "//")} [${type}]`],
      ...[`x/../${path} [${type}]`, `/${path} [${type}]`, `../${type}/${path}`, join(folder, type, path)],
      ...[`../${type}/${path} [temp]`, `${path}?[${type}]`, `${path.replace("/", "/./")} [${type}]`],
    ]);
    const curious = new ApiClient(shared.url, keys.own);
    for (const spelling of [name, ...spellings, ...spellings.map((one) => ({ __value__: one }))]) {
      const alone = await curious.request("POST", "generate", rawJob(spelling));
      const inBatch = await curious.request("POST", "batches", { jobs: [rawJob(spelling)] });
      expect([spelling, alone.status, inBatch.status]).toEqual([spelling, 422, 422]);
    }
    expect(await (await curious.request("GET", "jobs")).json()).toMatchObject({ jobs: [] });
  });
});

describe("outputs of a simulated server", () => {
  const frames = {
    class_type: "EmptyImage",
    inputs: { width: 64, height: 64, batch_size: 4, color: 3368652 },
  };
  const save = (class_type: string, inputs: object): object => ({
    type: "workflow",
    workflow: { "1": frames, "2": { class_type, inputs } },
  });
  const images = ["1", 0];
  const combine = {
    ...{ images, frame_rate: 8, loop_count: 0, pingpong: false, save_output: true },
    filename_prefix: "video/vhs",
  };

  test.each<[string, object, string, string]>([
    [
      "SaveAnimatedWEBP",
      { images, filename_prefix: "a", fps: 8, lossless: true, quality: 80, method: "default" },
      "images",
      "image/webp",
    ],
    ["SaveAnimatedPNG", { images, filename_prefix: "a", fps: 8, compress_level: 4 }, "images", "image/apng"],
    ["SaveWEBM", { images, filename_prefix: "a", codec: "vp9", fps: 8, crf: 32 }, "images", "video/webm"],
    [
      "VHS_VideoCombine",
      {
        ...combine,
        format: "video/h264-mp4",
        pix_fmt: "yuv420p",
        crf: 19,
        save_metadata: true,
        trim_to_audio: false,
      },
      "gifs",
      "video/mp4",
    ],
    ["VHS_VideoCombine", { ...combine, format: "image/gif" }, "gifs", "image/gif"],
    ["PreviewAny", { source: "a text" }, "text", "text/plain; charset=utf-8"],
  ])("of %s are stored as what they are", async (classType, inputs, key, mediaType) => {
    const { job, outputs } = await run(save(classType, inputs));
    expect([job.status, job.failure]).toEqual(["completed", null]);
    expect(outputs).toMatchObject([{ key, mediaType }]);
  });

  test("of SaveLatent are stored under their own key", async () => {
    const workflow = {
      "1": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
      "2": { class_type: "SaveLatent", inputs: { samples: ["1", 0], filename_prefix: "latents/x" } },
    };
    const { outputs } = await run({ type: "workflow", workflow });
    expect(outputs).toMatchObject([{ key: "latents", filename: "x_00001_.latent" }]);
  });

  test("are many where a node makes many, under names that nobody would choose", async () => {
    const { outputs } = await run(
      save("SaveImage", { images, filename_prefix: `sub dir/猫 "it's" 100% 🌸` }),
    );
    expect(outputs).toHaveLength(4);
    expect(outputs[3]!.filename).toMatch(/^猫 .*_00004_\.png$/u);
    const [whole] = await Promise.all(outputs.map(bytesOf));
    expect((await sharp(whole).metadata()).width).toBe(64);
  });

  test("include previews when the job asks for them", async () => {
    const preview = save("PreviewImage", { images });
    expect((await run(preview)).outputs).toEqual([]);
    const { outputs } = await run({ ...preview, keepPreviews: true });
    expect(outputs).toHaveLength(4);
  });

  test("tell how they were made, unless the job asks for silence", async () => {
    const asked = { type: "image", prompt: "a lighthouse", width: 256, height: 256, steps: 1, seed: 3 };
    const { job, outputs } = await run(asked);
    const open = await bytesOf(outputs[0]);
    expect(outputs[0]!.filename).toMatch(/^[a-z]+_00001_\.png$/i);
    expect(open.includes(`"filename_prefix": "genga/${job.id}-1/`)).toBe(true);
    const silent = await bytesOf((await run({ ...asked, stripMetadata: true })).outputs[0]);
    expect(open.includes("a lighthouse")).toBe(true);
    expect(silent.includes("a lighthouse")).toBe(false);
    expect(silent.includes("tEXt")).toBe(false);
    // Folders and files of servers are called otherwise than what clients see of them.
    expect(open.toString("latin1")).not.toMatch(/genga\/[0-9a-f]{32}\//);
    const pixels = (file: Buffer): Promise<Buffer> => sharp(file).raw().toBuffer();
    expect((await pixels(silent)).equals(await pixels(open))).toBe(true);
  });

  test("with a literal %03d in their name fail the job, which says which file", async () => {
    const { job } = await run(save("VHS_VideoCombine", { ...combine, format: "video/8bit-png" }));
    expect(job).toMatchObject({ status: "failed", failure: { code: "output-missing" } });
    expect(job.failure!.message).toContain("%03d");
  });
});
