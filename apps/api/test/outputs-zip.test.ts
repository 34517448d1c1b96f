import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { defaultTenantId } from "@genga/database";
import { publicNameOf } from "@genga/jobs";
import { createFolderStorage } from "@genga/storage";
import { NameTemplate } from "../src/archives/name-template.ts";
import { zipOfOutputs } from "../src/archives/outputs-zip.ts";
import { type OutputView } from "../src/jobs/output-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
let folder: string;
let batch: { id: string; jobs: { id: string }[]; links: { self: string } };
const graph = {
  "3": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
  "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "counterfeit_v3.safetensors" } },
  "5": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
  "6": { class_type: "SaveImage", inputs: { images: ["5", 0], filename_prefix: "x" } },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-zip-test-"));
  api = await startApiUnderTest({ times: { stalledMs: 6_000 } });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
  const job = { type: "image", prompt: "rain", project: "ame", scene: "s/1", width: 512, height: 512 };
  const jobs = [
    { ...job, shot: "..", seed: 7 },
    { ...job, shot: "..", seed: "18446744073709551615" },
    { ...job, shot: "CON", seed: 7 },
  ];
  const response = await api.post("batches", { name: "rain", jobs });
  batch = (await response.json()) as typeof batch;
  expect(response.status).toBe(202);
  for (const [index, { id }] of batch.jobs.slice(0, 2).entries()) {
    const files = ["a.png", "b.png"].map((filename) => {
      return { filename, body: Buffer.from(`${filename} of ${index}`), mediaType: "image/png" };
    });
    await api.worker.complete(await api.worker.claim(id, serverId), files, index === 0 ? ["a caption"] : []);
  }
});
afterAll(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

interface Unzipped {
  /** Contents by name, in the zip's order. */
  files: Record<string, string>;
  manifest: {
    files: Record<string, unknown>[];
    jobs: Record<string, Record<string, unknown>>;
    workflows: Record<string, Record<string, { class_type: string; inputs: Record<string, unknown> }>>;
  };
}

async function unzipped(path: string): Promise<Unzipped> {
  const response = await api.request(path);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/zip"]);
  const file = join(folder, "some.zip");
  await writeFile(file, Buffer.from(await response.arrayBuffer()));
  const script =
    "import zipfile, json, sys; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))";
  const files = JSON.parse(execFileSync("python3", ["-c", script, file], { encoding: "utf8" })) as Record<
    string,
    string
  >;
  expect(Object.keys(files).at(-1)).toBe("manifest.json");
  const { "manifest.json": manifest = "", ...others } = files;
  return { files: others, manifest: JSON.parse(manifest) as Unzipped["manifest"] };
}

test("the outputs of a batch come under safe names, in its order", async () => {
  const { files } = await unzipped(`batches/${batch.id}/outputs.zip`);
  expect(Object.entries(files)).toEqual([
    ["ame/s_1/_/0000-7.png", "a.png of 0"],
    ["ame/s_1/_/0000-7 (2).png", "b.png of 0"],
    ["ame/s_1/_/0000-7.txt", "a caption"],
    ["ame/s_1/_/0001-18446744073709551615.png", "a.png of 1"],
    ["ame/s_1/_/0001-18446744073709551615 (2).png", "b.png of 1"],
  ]);
});

test("the manifest says of each file how it was made", async () => {
  const { files, manifest } = await unzipped(`batches/${batch.id}/outputs.zip`);
  expect(manifest.files.map(({ name }) => name)).toEqual(Object.keys(files));
  const { outputs } = (await (await api.request(`jobs/${batch.jobs[1]!.id}/outputs`)).json()) as {
    outputs: OutputView[];
  };
  expect(manifest.files[3]).toMatchObject({
    ...{ outputId: outputs[0]!.id, sha256: outputs[0]!.sha256, jobId: batch.jobs[1]!.id, attempt: 1 },
    ...{ seed: "18446744073709551615", models: ["counterfeit_v3.safetensors"] },
    server: { name: publicNameOf({ id: serverId }), version: "0.28.0" },
  });
  const hashes = manifest.files.map(({ workflow }) => String(workflow));
  expect(Object.keys(manifest.workflows)).toEqual([...new Set(hashes)]);
  const shown = await (await api.request(`jobs/${batch.jobs[1]!.id}/workflow`)).json();
  expect(manifest.workflows[hashes[3]!]).toEqual(shown);
  const asked = await api.request(`jobs/${batch.jobs[1]!.id}/parameters`);
  const { parameters } = (await asked.json()) as { parameters: object };
  expect(manifest.jobs[batch.jobs[1]!.id]).toMatchObject({ project: "ame", type: "image", parameters });
  expect(JSON.stringify(manifest)).not.toContain("comfyui.test");
});

test("jobs are found by the filters of their list, and named as the client wishes", async () => {
  const raw = await api.post("generate", {
    type: "workflow",
    workflow: graph,
    tags: ["x"],
  });
  const { id } = (await raw.json()) as { id: string };
  expect(raw.status).toBe(202);
  const file = { filename: "c.png", body: Buffer.from("c"), mediaType: "image/png" };
  await api.worker.complete(await api.worker.claim(id, serverId), [file]);
  const names = encodeURIComponent("{type}/{name}-{seed}-{model}.{ext}");
  const { files, manifest } = await unzipped(`outputs.zip?tag=x&names=${names}`);
  expect(files).toEqual({ "workflow/c-no-seed-counterfeit_v3.png": "c" });
  expect(manifest.jobs[id]).not.toHaveProperty("parameters.workflow");
  const all = await unzipped("outputs.zip?status=completed,failed&names={job}-{output}.{ext}");
  expect(Object.keys(all.files)).toHaveLength(6);
  for (const query of ["status=failed", "project=none", `batch=${id}`, "type=video"])
    expect((await unzipped(`outputs.zip?${query}`)).files).toEqual({});
});

test("the manifest says of a job that was answered by reuse from which one, and who made its files", async () => {
  const body = {
    type: "workflow",
    workflow: { ...graph, "3": { ...graph["3"], inputs: { width: 128, height: 64, batch_size: 1 } } },
  };
  const { id: source } = (await (await api.post("generate", { ...body, tags: ["source"] })).json()) as {
    id: string;
  };
  const file = { filename: "d.png", body: Buffer.from("d"), mediaType: "image/png" };
  await api.worker.complete(await api.worker.claim(source, serverId), [file]);
  const reused = await api.post("generate", { ...body, tags: ["reused"], reuse: true });
  const { id } = (await reused.json()) as { id: string };
  const { files, manifest } = await unzipped("outputs.zip?tag=reused&names={name}-{attempt}.{ext}");
  expect(Object.keys(files)).toEqual(["d-1.png"]);
  expect(manifest.jobs[id]).toMatchObject({ reusedFrom: source, inputs: [] });
  const server = { name: publicNameOf({ id: serverId }), version: "0.28.0" };
  expect(manifest.files).toMatchObject([{ jobId: id, attempt: 1, server }]);
  expect((await unzipped("outputs.zip?tag=source")).manifest.jobs[source]).toMatchObject({
    reusedFrom: null,
  });
});

test("HEAD answers without reading anything", async () => {
  const response = await api.request(`batches/${batch.id}/outputs.zip`, { method: "HEAD" });
  expect([response.status, await response.text(), response.headers.get("content-disposition")]).toEqual([
    ...[200, "", "attachment; filename=rain.zip"],
  ]);
});

test.each([
  ["outputs.zip?names={sed}", 422, "names"],
  ["outputs.zip?names=../{seed}", 422, "names"],
  ["outputs.zip?batch=7", 422, "batch"],
  ["batches/0190b8a0-0000-7000-8000-00000000dead/outputs.zip", 404, undefined],
])("%s is refused with %s", async (path, status, field) => {
  const response = await api.request(path);
  const { problems } = (await response.json()) as { problems?: { path: string }[] };
  expect([response.status, problems?.[0]?.path, response.headers.get("content-disposition")]).toEqual([
    status,
    field,
    null,
  ]);
});

test("counting stops where a zip has too many files", async () => {
  const jobs = api.database.jobReader.of(defaultTenantId);
  expect(await jobs.countOutputs({ batchId: batch.id }, 3)).toBe(4);
  expect(await jobs.countOutputs({ batchId: batch.id }, 100)).toBe(5);
});

test("all reading ends when the client leaves", async () => {
  const storage = await createFolderStorage({ folder: `${api.env["DATA_DIR"]!}/outputs` });
  const opened: Readable[] = [];
  const watched = Object.assign(Object.create(storage) as typeof storage, {
    read: async (...asked: Parameters<typeof storage.read>) => {
      const body = await storage.read(...asked);
      opened.push(body);
      return body;
    },
  });
  const leaving = new AbortController();
  const parts = { jobs: api.database.jobReader.of(defaultTenantId), storage: watched, folder };
  const zip = zipOfOutputs({ batchId: batch.id }, new NameTemplate("{job}/{output}"), parts, leaving.signal);
  while (opened.length === 0) await zip.next();
  const closed = new Promise((resolve) => opened[0]!.once("close", resolve));
  leaving.abort();
  await expect(
    (async () => {
      for (;;) if ((await zip.next()).done === true) return;
    })(),
  ).rejects.toThrow();
  await closed;
  expect(opened).toHaveLength(1);
});

test.each([
  [
    "was changed",
    (key: string) => writeFile(join(api.env["DATA_DIR"]!, "outputs", key), "A.png of 0"),
    "has other content",
  ],
  [
    "was cut",
    (key: string) => writeFile(join(api.env["DATA_DIR"]!, "outputs", key), "a"),
    "does not have the 10 bytes",
  ],
  ["was lost", (key: string) => rm(join(api.env["DATA_DIR"]!, "outputs", key)), "There is no file"],
])("a file that %s breaks the connection, and the log says so", async (_, harm, logged) => {
  const { outputs } = (await (await api.request(`jobs/${batch.jobs[0]!.id}/outputs`)).json()) as {
    outputs: OutputView[];
  };
  const row = await api.database.jobReader.of(defaultTenantId).findOutput(outputs[0]!.id);
  await harm(row!.storageKey!);
  const response = await api.request(`batches/${batch.id}/outputs.zip`);
  await expect(response.arrayBuffer()).rejects.toThrow();
  expect(api.logged.filter((line) => line.includes("broken off")).at(-1)).toContain(logged);
});

test("zips and files that are asked for and never read are ended, and the places of the zips are free again", async () => {
  const raw = await api.post("generate", { type: "workflow", workflow: graph, tags: ["large"] });
  const { id } = (await raw.json()) as { id: string };
  const file = { filename: "large.png", body: Buffer.alloc(9_900_000), mediaType: "image/png" };
  await api.worker.complete(await api.worker.claim(id, serverId), [file]);
  const { outputs } = (await (await api.request(`jobs/${id}/outputs`)).json()) as { outputs: OutputView[] };
  const { port } = new URL(api.url);
  const clients: Socket[] = [];
  const askAndNotRead = async (path: string): Promise<void> => {
    const client = connect(Number(port), "127.0.0.1");
    client.on("error", () => undefined);
    clients.push(client);
    client.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await once(client, "readable");
  };
  try {
    await askAndNotRead(new URL(outputs[0]!.links.content, api.url).pathname);
    const zips = Array.from({ length: 8 }, () => askAndNotRead("/api/anime/outputs.zip?tag=large"));
    await Promise.all(zips);
    const ninth = await api.request("outputs.zip?tag=large", { method: "HEAD" });
    expect([ninth.status, ninth.headers.get("retry-after")]).toEqual([503, "10"]);
    const cutOff = (): number => api.logged.filter((line) => line.includes("took nothing")).length;
    while (cutOff() < 9) await pause(50);
    expect((await api.request("outputs.zip?tag=large", { method: "HEAD" })).status).toBe(200);
  } finally {
    for (const client of clients) client.destroy();
  }
});
