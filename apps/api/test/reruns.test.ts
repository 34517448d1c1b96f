import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
let client: pg.Client;

beforeAll(async () => {
  api = await startApiUnderTest({
    env: { SECRETS_KEY: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" },
  });
  serverId = await api.worker.registerServer(
    "http://comfyui.test:8188",
    await recordedDefinitions("core", "animatediff"),
  );
  client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await api.stop();
});

interface Shown {
  id: string;
  status: string;
  rerunOf: string | null;
  priority: string;
  project: string | null;
  tags: string[];
  attemptsMax: number;
}

async function submit(body: object, path = "generate"): Promise<string> {
  const response = await api.post(path, body);
  const answer = (await response.json()) as { id: string };
  expect([response.status, answer]).toEqual([202, expect.anything()]);
  return answer.id;
}
const rerun = (id: string, body: object = {}): Promise<string> => submit(body, `jobs/${id}/rerun`);

async function refusal(
  id: string,
  body: object,
): Promise<{ code: string; problems?: { path: string; code: string }[] }> {
  const response = await api.post(`jobs/${id}/rerun`, body);
  expect(response.status).toBeGreaterThanOrEqual(400);
  return (await response.json()) as Awaited<ReturnType<typeof refusal>>;
}

const shown = async (id: string): Promise<Shown> => (await (await api.request(`jobs/${id}`)).json()) as Shown;
const graphOf = async (id: string): Promise<string> => (await api.request(`jobs/${id}/workflow`)).text();
async function parametersOf(id: string): Promise<Record<string, unknown>> {
  const answer = (await (await api.request(`jobs/${id}/parameters`)).json()) as {
    parameters: Record<string, unknown>;
  };
  return answer.parameters;
}
async function hashOf(id: string): Promise<string> {
  const { rows } = await client.query<{ hash: string }>(
    "SELECT workflow_hash AS hash FROM job_parameters WHERE job_id = $1",
    [id],
  );
  return rows[0]!.hash;
}

const labels = { project: "ame", tags: ["night"], priority: "high", attemptsMax: 3 };
const loading = (image: unknown, seed = 7): object => ({
  "1": { class_type: "LoadImage", inputs: { image } },
  "2": {
    class_type: "ImageScale",
    inputs: { image: ["1", 0], upscale_method: "bilinear", width: 64, height: 64, crop: "disabled" },
  },
  "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `x${seed}` } },
});

test.each([
  ["image", { type: "image", prompt: "rain", count: 2, seed: "18446744073709551615" }],
  ["image without a seed", { type: "image", prompt: "../a prompt\\that/looks like a path" }],
  ["video", { type: "video", prompt: "rain", durationSeconds: 1, fps: 8 }],
  [
    "workflow",
    {
      type: "workflow",
      workflow: {
        "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
        "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
      },
    },
  ],
])("a rerun of the %s has the same graph, parameters and labels", async (_, job) => {
  const id = await submit({ ...job, ...labels, project: "ame" });
  const again = await rerun(id);
  expect(await hashOf(again)).toBe(await hashOf(id));
  expect(await parametersOf(again)).toEqual(await parametersOf(id));
  expect(await shown(again)).toMatchObject({ ...labels, status: "queued", rerunOf: id });
  expect((await shown(id)).rerunOf).toBeNull();
});

test("the first job may have ended, and be removed later", async () => {
  const id = await submit({ type: "image", prompt: "rain" });
  await api.worker.complete(await api.worker.claim(id, serverId), []);
  const again = await rerun(id);
  expect(await graphOf(again)).toBe(await graphOf(id));
  expect((await api.request(`jobs/${id}`, { method: "DELETE" })).status).toBe(204);
  expect(await shown(again)).toMatchObject({ rerunOf: id });
  expect(await refusal(id, {})).toMatchObject({ code: "job-removed" });
});

test("parameters and options may be changed; null brings a new seed", async () => {
  const id = await submit({ type: "image", prompt: "rain", seed: 7, steps: 20 });
  const again = await rerun(id, { changes: { steps: 30, seed: null }, priority: "low", tags: ["second"] });
  const { seed, ...others } = await parametersOf(again);
  const { seed: first, ...before } = await parametersOf(id);
  expect([first, others]).toEqual([7, { ...before, steps: 30 }]);
  expect(seed).not.toBe(7);
  expect(await shown(again)).toMatchObject({ priority: "low", tags: ["second"], rerunOf: id });
});

test("inputs of a raw graph may be changed, with all their digits", async () => {
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const id = await submit({ type: "workflow", workflow });
  const again = await rerun(id, { changes: { "1": { width: 128 } } });
  expect(JSON.parse(await graphOf(again))).toMatchObject({ "1": { inputs: { width: 128, height: 64 } } });
  expect(await refusal(id, { changes: { "9": { width: 1 }, "1": 7 } })).toMatchObject({
    problems: [{ path: "changes.1", code: "wrong-type" }, { path: "changes.9" }],
  });
});

test.each([
  [{ changes: { width: 7 } }, "width"],
  [{ changes: { nonsense: 7 } }, "nonsense"],
  [{ changes: { model: "nobody-has-it.safetensors" } }, "model"],
  [{ changes: [] }, "changes"],
  [{ seed: 7 }, "seed"],
  [{ priority: "soon" }, "priority"],
  [{ extraData: { preview_method: "auto" } }, "extraData"],
])("%j is refused, naming %s", async (body, path) => {
  const id = await submit({ type: "image", prompt: "rain" });
  expect((await refusal(id, body)).problems?.map((problem) => problem.path)).toContain(path);
});

test("secret extra data has to be sent again, also while the first job waits", async () => {
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const extraData = { api_key_comfy_org: "secret-1", extra_pnginfo: { note: 1.0 } };
  const id = await submit({ type: "workflow", workflow, extraData });
  for (const without of [{}, { extraData: {} }, { extraData: { preview_method: "auto" } }])
    expect(await refusal(id, without)).toMatchObject({ code: "extra-data-needed" });
  expect(await refusal(id, { extraData: [] })).toMatchObject({ problems: [{ path: "extraData" }] });
  const again = await rerun(id, { extraData: { api_key_comfy_org: "secret-2" } });
  const leased = await api.worker.claim(again, serverId);
  expect(leased.sealedExtraData).not.toBeNull();
  expect(await parametersOf(again)).toEqual(await parametersOf(id));
  expect(api.logged.join()).not.toMatch(/secret-[12]/);
});

test("of a raw graph only an operator may rerun a class that is denied since", async () => {
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const extraData = { extra_pnginfo: { note: "kept" } };
  const id = await submit({ type: "workflow", workflow, extraData });
  const { url } = await api.startAnother({
    API_KEYS: "default:submit:key-that-submits,default:operate:key-that-operates",
    NODE_CLASSES_DENIED: "EmptyImage",
  });
  const rerunAs = (key: string): Promise<Response> =>
    api.post(`${url}/api/anime/jobs/${id}/rerun`, {}, { authorization: `Bearer ${key}` });
  const refused = await rerunAs("key-that-submits");
  expect([refused.status, await refused.json()]).toMatchObject([
    422,
    { problems: [{ path: "workflow.1", code: "denied-node-class", received: "EmptyImage" }] },
  ]);
  const accepted = await rerunAs("key-that-operates");
  expect(accepted.status).toBe(202);
  const again = (await accepted.json()) as { id: string };
  expect(await parametersOf(again.id)).toMatchObject({ extraData });
});

test("an Idempotency-Key makes one job of two requests", async () => {
  const id = await submit({ type: "image", prompt: "rain" });
  const headers = { "idempotency-key": "again-1" };
  const first = (await (await api.post(`jobs/${id}/rerun`, {}, headers)).json()) as { id: string };
  const second = await api.post(`jobs/${id}/rerun`, {}, headers);
  expect([second.headers.get("idempotency-replayed"), ((await second.json()) as { id: string }).id]).toEqual([
    "true",
    first.id,
  ]);
  const other = await submit({ type: "image", prompt: "rain" });
  expect(((await (await api.post(`jobs/${other}/rerun`, {}, headers)).json()) as { code: string }).code).toBe(
    "idempotency-key-reused",
  );
});

test("a rerun that is repeated with its Idempotency-Key is answered as the first time, though what it made again was removed", async () => {
  const headers = { "idempotency-key": "again-2" };
  const batch = await api.post("batches", { jobs: [{ type: "image", prompt: "rain" }] });
  const { id: batchId, jobs } = (await batch.json()) as { id: string; jobs: { id: string }[] };
  const id = await submit({ type: "image", prompt: "rain" });
  for (const path of [`jobs/${id}`, `batches/${batchId}`]) {
    const key = { "idempotency-key": `${headers["idempotency-key"]}-${path}` };
    const first = await api.post(`${path}/rerun`, {}, key);
    expect(first.status).toBe(202);
    for (const each of path.startsWith("jobs") ? [id] : jobs.map((job) => job.id))
      await api.worker.complete(await api.worker.claim(each, serverId), []);
    expect((await api.request(path, { method: "DELETE" })).status).toBe(204);
    const second = await api.post(`${path}/rerun`, {}, key);
    expect([second.status, second.headers.get("idempotency-replayed")]).toEqual([202, "true"]);
    expect(await second.json()).toEqual(await first.json());
    expect((await api.post(`${path}/rerun`, {})).status).toBe(410);
  }
});

test("what a job reads of another one, its rerun reads as well, also when that one is removed", async () => {
  const source = await submit({ type: "image", prompt: "a frame" });
  const reader = await submit({
    type: "workflow",
    workflow: loading({ $output: { from: source, output: 0 } }),
  });
  const early = await rerun(reader);
  expect(await shown(early)).toMatchObject({
    status: "queued",
    dependsOn: [{ jobId: source, isMet: false }],
  });
  const picture = { filename: "a.png", body: Buffer.from("the frame"), mediaType: "image/png" };
  await api.worker.complete(await api.worker.claim(source, serverId), [picture]);
  const read = (await api.worker.claim(reader, serverId)).inputs;
  expect((await api.worker.claim(early, serverId)).inputs).toEqual(read);
  expect((await api.request(`jobs/${source}`, { method: "DELETE" })).status).toBe(204);
  const late = await rerun(reader);
  expect(await hashOf(late)).toBe(await hashOf(reader));
  const leased = await api.worker.claim(late, serverId);
  expect(leased.inputs).toEqual(read);
  expect(leased.inputs[0]!.file).not.toBeNull();
});

async function templateOf(id: string): Promise<unknown> {
  const answer = (await (await api.request(`jobs/${id}/parameters`)).json()) as { template: unknown };
  return answer.template;
}

test("a rerun is made of the first job's template while its changes are values of that", async () => {
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const color = { type: "integer", min: 0, max: 255, targets: [{ node: "1", input: "color" }] };
  const answer = await api.post("templates", { name: "rerun-card", workflow, parameters: { color } });
  expect(answer.status).toBe(201);
  const id = await submit({ template: "rerun-card", values: { color: 7 } });
  const template = { name: "rerun-card", version: 1 };
  const again = await rerun(id);
  const changed = await rerun(again, { changes: { "1": { color: 8 } } });
  const other = await rerun(id, { changes: { "1": { color: 8, width: 128 } } });
  // An archived template takes no new values from clients, and stays the one that its jobs were made of.
  expect((await api.request("templates/rerun-card", { method: "DELETE" })).status).toBe(204);
  const late = await rerun(changed);
  const builtIn = await submit({ template: "image", values: { prompt: "rain" } });
  const builtInAgain = await rerun(builtIn, { changes: { steps: 30 } });
  expect(await Promise.all([again, changed, other, late, builtInAgain].map(templateOf))).toEqual([
    { ...template, values: { color: 7 } },
    { ...template, values: { color: 8 } },
    null,
    { ...template, values: { color: 8 } },
    { name: "image", version: 1, values: expect.objectContaining({ prompt: "rain", steps: 30 }) },
  ]);
  const listed = (await (await api.request("jobs?template=rerun-card")).json()) as { jobs: { id: string }[] };
  expect(listed.jobs.map((job) => job.id).sort()).toEqual([id, again, changed, late].sort());
});
