import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

interface AcceptedBatch {
  id: string;
  jobs: { id: string; status: string }[];
  links: Record<string, string>;
}

async function submit(jobs: unknown[], name?: string): Promise<AcceptedBatch> {
  const response = await api.post("batches", { name, jobs });
  const body = (await response.json()) as AcceptedBatch;
  expect({ status: response.status, body }).toMatchObject({ status: 202 });
  return body;
}

test("a batch is accepted whole, in the order given, and counts what becomes of its jobs", async () => {
  const batch = await submit(
    Array.from({ length: 4 }, (_, index) => ({ type: "image", prompt: `cat ${index}`, seed: index })),
    "four cats",
  );
  expect(batch.jobs).toHaveLength(4);
  for (const [index, { id }] of batch.jobs.entries()) {
    const job = (await (await api.request(`jobs/${id}`)).json()) as Record<string, unknown>;
    expect(job).toMatchObject({ batchId: batch.id, batchIndex: index });
  }
  const [first, second, third] = batch.jobs;
  await api.worker.claim(first!.id, serverId);
  await api.worker.complete(await api.worker.claim(second!.id, serverId), []);
  await api.post(`jobs/${third!.id}/cancel`, {});
  expect(await (await api.request(batch.links["self"]!)).json()).toMatchObject({
    id: batch.id,
    name: "four cats",
    total: 4,
    counts: { queued: 1, processing: 1, completed: 1, failed: 0, timeout: 0, cancelled: 1 },
    done: false,
  });
  const listed = (await (await api.request(batch.links["jobs"]!)).json()) as { jobs: { id: string }[] };
  expect(new Set(listed.jobs.map(({ id }) => id))).toEqual(new Set(batch.jobs.map(({ id }) => id)));
});

test("one bad job refuses the whole batch, with every problem and its place", async () => {
  const before = (await api.database.jobReader.summarizeQueue()).counts;
  const response = await api.post("batches", {
    jobs: [
      { type: "image", prompt: "fine" },
      { type: "image", prompt: "bad", width: 1, priority: "asap" },
      { type: "music" },
      7,
      { type: "image", model: "none.safetensors", prompt: "x" },
    ],
  });
  const document = (await response.json()) as { problems: { path: string; code: string }[] };
  expect(response.status).toBe(422);
  expect(document.problems.map(({ path, code }) => [path, code])).toEqual([
    ["jobs.1.priority", "unknown-value"],
    ["jobs.1.width", "out-of-bounds"],
    ["jobs.2.type", "unknown-type"],
    ["jobs.3", "wrong-type"],
    ["jobs.4.model", "unknown-model"],
  ]);
  expect((await api.database.jobReader.summarizeQueue()).counts).toEqual(before);
});

test.each<[string, unknown, string, string]>([
  ["no jobs", { name: "x" }, "jobs", "missing-field"],
  ["an empty list", { jobs: [] }, "jobs", "out-of-bounds"],
  ["too many jobs", { jobs: Array.from({ length: 10_001 }, () => ({})) }, "jobs", "out-of-bounds"],
  ["an unknown field", { jobs: [{ type: "image", prompt: "x" }], pause: true }, "pause", "unknown-field"],
  [
    "a name that cannot be stored",
    { name: "\0", jobs: [{ type: "image", prompt: "x" }] },
    "name",
    "out-of-bounds",
  ],
  ["a list", [], "", "wrong-type"],
])("a batch with %s is refused", async (_name, body, path, code) => {
  const response = await api.post("batches", body);
  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({ problems: [{ path, code }] });
});

test("unknown batches are not found", async () => {
  for (const id of ["x", "00000000-0000-7000-8000-000000000001"]) {
    const response = await api.request(`batches/${id}`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      404,
      "batch-not-found",
    ]);
  }
});

test("ten thousand jobs are accepted at once, while others are served", async () => {
  const jobs = Array.from({ length: 10_000 }, (_, index) => ({
    type: "image",
    prompt: `cat ${index}`,
    seed: index,
  }));
  const submitting = submit(jobs, "many");
  const latenciesMs: number[] = [];
  const progress = { isDone: false };
  void submitting.finally(() => (progress.isDone = true));
  while (!progress.isDone) {
    const askedAt = performance.now();
    expect((await api.request("health/ready")).status).toBe(200);
    latenciesMs.push(performance.now() - askedAt);
  }
  const batch = await submitting;
  expect(batch.jobs).toHaveLength(10_000);
  expect(await (await api.request(`batches/${batch.id}`)).json()).toMatchObject({
    total: 10_000,
    counts: { queued: 10_000 },
  });
  expect(latenciesMs.length).toBeGreaterThan(5);
}, 180_000);
