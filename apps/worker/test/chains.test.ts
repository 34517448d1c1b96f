import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, type JobAnswer, quickSimulator } from "@genga/testing";
import sharp from "sharp";
import { startOddStack, startTestStack, type TestStack } from "./support/test-stack.ts";

// Key frame → video → upscale, as three small graphs on two simulated servers.
// `CHAINS=2000 npm test -- apps/worker/test/chains.test.ts -t "every chain"` plays a night's work, and prints how long it took.

/** The largest request that the servers take. */
const bodyBytesMax = 512 * 1_024;

let stack: TestStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startTestStack({
    ...{ simulators: 2, workers: 2, env: { LEASE_MS: "3000" } },
    simulatorArgs: [...quickSimulator, "--body-bytes-max", `${bodyBytesMax}`],
  });
  ({ api } = stack);
}, 180_000);
afterAll(async () => {
  await stack.stop();
}, 180_000);

const save = (from: string): object => ({
  class_type: "SaveImage",
  inputs: { images: [from, 0], filename_prefix: "chain" },
});
const keyFrame = (color: number): object => ({
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 48, batch_size: 1, color } },
  "2": save("1"),
});
const load = (from: string, output = 0): object => ({
  class_type: "LoadImage",
  inputs: { image: { $output: { from, output } } },
});
const video = (from: string): object => ({
  "1": load(from),
  "2": { class_type: "RepeatImageBatch", inputs: { image: ["1", 0], amount: 2 } },
  "3": {
    class_type: "SaveAnimatedWEBP",
    inputs: {
      images: ["2", 0],
      filename_prefix: "clip",
      fps: 8,
      lossless: true,
      quality: 80,
      method: "default",
    },
  },
});
const upscale = (from: string): object => ({
  "1": load(from),
  "2": {
    class_type: "ImageScaleBy",
    inputs: { image: ["1", 0], upscale_method: "nearest-exact", scale_by: 2 },
  },
  "3": save("2"),
});
const step = (workflow: object, more: object = {}): object => ({ type: "workflow", workflow, ...more });

/** A colour of its own for each chain. */
const colorOf = (place: number): number => (place * 8_191 + 0x10_20_30) % 0x1_00_00_00;

function chain(place: number): object[] {
  return [
    step(upscale(`clip ${place}`), { key: `large ${place}` }),
    step(video(`key ${place}`), { key: `clip ${place}` }),
    step(keyFrame(colorOf(place)), { key: `key ${place}` }),
  ];
}

async function pictureOf(jobId: string): Promise<{ size: string; color: number }> {
  const [output] = await api.outputs(jobId);
  const picture = sharp(await api.download(output!.id));
  const { width, height } = await picture.metadata();
  const [red = 0, green = 0, blue = 0] = await picture.raw().toBuffer();
  return { size: `${width} × ${height}`, color: red * 0x1_00_00 + green * 0x1_00 + blue };
}

const chains = Number(process.env["CHAINS"] ?? 40);
const tell = (what: string, since: number): void => {
  if (chains > 40) process.stderr.write(`${what}: ${((performance.now() - since) / 1_000).toFixed(1)} s\n`);
};

test(
  "every chain of a batch is whole, although workers are killed twice in it",
  async () => {
    const startedAt = performance.now();
    const { id, jobIds } = await api.submitBatch(
      Array.from({ length: chains }, (_, place) => chain(place)).flat(),
    );
    tell(`${jobIds.length} jobs accepted`, startedAt);
    for (const share of [0.15, 0.5]) {
      await untilBatch(id, (completed) => completed >= jobIds.length * share);
      const [victim] = stack.workers.splice(0, 1);
      victim!.signal("SIGKILL");
      tell("a worker killed", startedAt);
      await stack.startWorker();
    }
    await untilBatch(id, (completed) => completed === jobIds.length);
    tell("all completed", startedAt);
    for (let place = 0; place < chains; place += 1) {
      const picture = await pictureOf(jobIds[place * 3]!);
      expect({ place, ...picture }).toEqual({ place, size: "128 × 96", color: colorOf(place) });
    }
  },
  200_000 + chains * 1_000,
);

async function untilBatch(id: string, isThere: (completed: number) => boolean): Promise<void> {
  for (;;) {
    const { counts } = await api.batch(id);
    expect(counts["failed"]).toBe(0);
    if (isThere(counts["completed"] ?? 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const failureOf = ({ status, failure }: JobAnswer): object => ({ status, code: failure?.code });

test("a job that needs an output which is not there fails at once, and what depends on it, too", async () => {
  const { jobIds } = await api.submitBatch([
    step(keyFrame(1), { key: "key" }),
    step({ "1": load("key", 7), "2": save("1") }, { key: "clip", attemptsMax: 5 }),
    step(upscale("clip")),
  ]);
  const [, clip, large] = await Promise.all(jobIds.map((id) => api.untilEnded(id)));
  expect(failureOf(clip!)).toEqual({ status: "failed", code: "dependency-output" });
  expect(clip).toMatchObject({ attempt: 1 });
  expect(clip!.failure?.message).toContain("Output 7 of job");
  expect(failureOf(large!)).toEqual({ status: "failed", code: "dependency-failed" });
});

test("the file that a job needs outlives the removal of the job that made it", async () => {
  const key = await api.submit(step(keyFrame(0x10_20_30)));
  await api.untilEnded(key);
  const { jobIds } = await api.submitBatch([
    step(upscale(key), { expiresAt: new Date(Date.now() + 3_600_000).toISOString() }),
  ]);
  expect((await api.request("DELETE", `jobs/${key}`)).status).toBe(204);
  const job = await api.untilEnded(jobIds[0]!);
  expect(failureOf(job)).toEqual({ status: "completed", code: undefined });
  expect(await pictureOf(job.id)).toEqual({ size: "128 × 96", color: 0x10_20_30 });
  const shown = (await (await api.request("GET", `jobs/${job.id}`)).json()) as { dependsOn: unknown };
  expect(shown.dependsOn).toEqual([{ jobId: key, key: null, status: "removed", isMet: true }]);
});

test("parameters may name an output in place of an upload", async () => {
  const image = { type: "image", prompt: "a lighthouse", steps: 2, seed: 7 };
  const { jobIds } = await api.submitBatch([
    { ...image, key: "first", width: 256, height: 256 },
    { ...image, initImage: { from: "first", output: 0 }, denoise: 0.5, width: 256, height: 256 },
  ]);
  const jobs = await Promise.all(jobIds.map((id) => api.untilEnded(id)));
  expect(jobs.map(({ status }) => status)).toEqual(["completed", "completed"]);
  const asked = await api.request("GET", `jobs/${jobIds[1]!}/parameters`);
  expect(await asked.json()).toMatchObject({ parameters: { initImage: { from: jobIds[0], output: 0 } } });
});

test("a file that is larger than the servers take fails the job that needs it at once", async () => {
  const sound = { class_type: "EmptyAudio", inputs: { duration: 60, sample_rate: 44_100, channels: 2 } };
  const mp3 = { audio: ["1", 0], filename_prefix: "long", format: "mp3", "format.quality": "320k" };
  const { jobIds } = await api.submitBatch([
    step({ "1": sound, "2": { class_type: "SaveAudioAdvanced", inputs: mp3 } }, { key: "long" }),
    step(listen("long"), { attemptsMax: 5 }),
  ]);
  const [made, reading] = await Promise.all(jobIds.map((id) => api.untilEnded(id)));
  expect(failureOf(made!)).toEqual({ status: "completed", code: undefined });
  expect(failureOf(reading!)).toEqual({ status: "failed", code: "dependency-output" });
  expect(reading).toMatchObject({ attempt: 1 });
  expect(reading!.failure?.message).toContain(`${bodyBytesMax} bytes`);
});

test("a file that a server refuses with 413 fails the job that needs it at once", async () => {
  const odd = await startOddStack();
  try {
    odd.odd.refuse = (method, path) =>
      method === "POST" && path === "/upload/image" ? { status: 413, body: "too large" } : undefined;
    const { jobIds } = await odd.api.submitBatch([
      step(keyFrame(1), { key: "key" }),
      step(upscale("key"), { attemptsMax: 5 }),
    ]);
    const reading = await odd.api.untilEnded(jobIds[1]!);
    expect(failureOf(reading)).toEqual({ status: "failed", code: "dependency-output" });
    expect(reading).toMatchObject({ attempt: 1 });
    expect(reading.failure?.message).toContain("The server does not take a file of");
  } finally {
    await odd.stop();
  }
});

const output = (from: string): object => ({ $output: { from, output: 0 } });
const listen = (from: string): object => ({
  "1": { class_type: "LoadAudio", inputs: { audio: output(from) } },
  "2": { class_type: "SaveAudio", inputs: { audio: ["1", 0], filename_prefix: "heard" } },
});

test("loaders of videos and sounds may name outputs of other jobs", async () => {
  const film = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 48, batch_size: 5, color: 0x10_20_30 } },
    "2": { class_type: "CreateVideo", inputs: { images: ["1", 0], fps: 8 } },
    "3": saveVideo("2"),
  };
  const frames = {
    "1": { class_type: "LoadVideo", inputs: { file: output("film") } },
    "2": { class_type: "GetVideoComponents", inputs: { video: ["1", 0] } },
    "3": save("2"),
  };
  const sound = { class_type: "EmptyAudio", inputs: { duration: 1.5, sample_rate: 44_100, channels: 2 } };
  const saved = { class_type: "SaveAudio", inputs: { audio: ["1", 0], filename_prefix: "sound" } };
  const { jobIds } = await api.submitBatch([
    step(frames),
    step(listen("sound")),
    step(film, { key: "film" }),
    step({ "1": sound, "2": saved }, { key: "sound" }),
  ]);
  const jobs = await Promise.all(jobIds.map((id) => api.untilEnded(id)));
  expect(jobs.map(failureOf)).toEqual(jobs.map(() => ({ status: "completed", code: undefined })));
  expect(await api.outputs(jobIds[0]!)).toHaveLength(5);
  const [heard] = await api.outputs(jobIds[1]!);
  expect(heard).toMatchObject({ mediaType: "audio/flac", durationMs: 1_500 });
});

const saveVideo = (from: string): object => ({
  class_type: "SaveVideo",
  inputs: { video: [from, 0], filename_prefix: "film", format: "mp4", codec: "h264" },
});
