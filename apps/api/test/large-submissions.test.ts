import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readConfiguration, requireServices } from "@genga/runtime";
import { pino } from "pino";
import { SubmissionThread } from "../src/accepting/submission-thread.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
const image = { type: "image", prompt: "a quiet street", width: 512, height: 512 };

beforeAll(async () => {
  api = await startApiUnderTest();
}, 180_000);
afterAll(() => api.stop());

function postLines(lines: string[], query = ""): Promise<Response> {
  const headers = { "content-type": "application/x-ndjson" };
  return api.request(`batches${query}`, { method: "POST", headers, body: lines.join("\n") });
}

describe("a batch of lines", () => {
  test("is accepted and answered as a list is", async () => {
    const seeds = [11, 12, 13];
    const lines = seeds.map((seed) => JSON.stringify({ ...image, seed }));
    const response = await postLines([...lines, "", ""], "?name=night");
    expect(response.status).toBe(202);
    const batch = (await response.json()) as {
      id: string;
      name: string;
      total: number;
      jobs: { id: string }[];
    };
    expect(batch).toMatchObject({ name: "night", total: 3 });
    expect(response.headers.get("location")).toMatch(new RegExp(`/batches/${batch.id}$`));
    const jobs = await Promise.all(
      batch.jobs.map(async ({ id }) => (await (await api.request(`jobs/${id}/parameters`)).json()) as object),
    );
    expect(jobs).toMatchObject(seeds.map((seed) => ({ parameters: { seed } })));
  });

  test("has its options in the query, for all jobs that have no own", async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const own = JSON.stringify({ ...image, priority: "high", tags: ["rain"] });
    const query = `?name=night&project=lake&tags=a,b&priority=low&attemptsMax=3&timeoutMs=90000&expiresAt=${expiresAt}`;
    const response = await postLines([JSON.stringify(image), own], query);
    expect(response.status).toBe(202);
    const { id, jobs } = (await response.json()) as { id: string; jobs: { id: string }[] };
    const views = await Promise.all(
      jobs.map(async (job) => (await (await api.request(`jobs/${job.id}`)).json()) as object),
    );
    const same = { project: "lake", attemptsMax: 3, timeoutMs: 90_000, expiresAt };
    expect(views).toMatchObject([
      { ...same, priority: "low", tags: ["a", "b"] },
      { ...same, priority: "high", tags: ["rain"] },
    ]);
    expect(await (await api.request(`batches/${id}`)).json()).toMatchObject({
      name: "night",
      project: "lake",
    });
  });

  test("may be a dry run, and is refused for options that are not right", async () => {
    const dry = await postLines([JSON.stringify(image)], "?dryRun=true&project=dry");
    expect([dry.status, await dry.json()]).toMatchObject([200, { dryRun: true, total: 1 }]);
    const wrong = await postLines([JSON.stringify(image)], "?attemptsMax=11&priority=soon");
    expect(wrong.status).toBe(422);
    const { problems } = (await wrong.json()) as { problems: { path: string }[] };
    expect(problems.map(({ path }) => path).sort()).toEqual(["attemptsMax", "priority"]);
  });

  test("is refused with the line that is not JSON, and with the job that is not right", async () => {
    const broken = await postLines([JSON.stringify(image), "{"]);
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({
      code: "malformed-json",
      detail: expect.stringMatching(/^Line 2: /) as unknown,
    });
    const wrong = await postLines([JSON.stringify(image), "", JSON.stringify({ ...image, width: -1 })]);
    expect(wrong.status).toBe(422);
    expect(await wrong.json()).toMatchObject({ problems: [{ path: "jobs.1.width" }] });
    const empty = await postLines(["", ""]);
    expect(empty.status).toBe(422);
  });

  test("is refused at its first job that is one too many, whatever follows", async () => {
    const refused = await postLines([...Array.from({ length: 10_001 }, () => "1"), "this is not JSON"]);
    expect([refused.status, await refused.json()]).toMatchObject([
      422,
      { code: "out-of-bounds", problems: [{ path: "jobs", accepted: { max: 10_000 } }] },
    ]);
  });

  test("may hold integers that JavaScript cannot, as a list may", async () => {
    const graph = (seed: string): string =>
      `{"type":"workflow","workflow":{"1":{"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":${seed}}},` +
      `"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"a"}}}}`;
    const response = await postLines([graph("9007199254740993")]);
    expect(response.status).toBe(202);
    const { jobs } = (await response.json()) as { jobs: { id: string }[] };
    const stored = await (await api.request(`jobs/${jobs[0]?.id ?? ""}/workflow`)).text();
    expect(stored).toContain("9007199254740993");
  });
});

test("an API that is stopped right after it accepted a batch adds the batch's tickets first", async () => {
  const other = await api.startAnother();
  const response = await fetch(`${other.url}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jobs: Array.from({ length: 2_500 }, (_, seed) => ({ ...image, seed })) }),
  });
  const { jobs } = (await response.json()) as { jobs: { id: string }[] };
  await other.stop();
  const waiting = await api.database.jobAnnouncer.listUnannounced(10_000);
  expect(jobs).toHaveLength(2_500);
  const ids = new Set(jobs.map(({ id }) => id));
  expect(waiting.filter(({ jobId }) => ids.has(jobId))).toEqual([]);
}, 180_000);

test("a submission that is too much for the thread's memory is answered, and the next one is accepted", async () => {
  const tenant = await api.database.tenants.defaultTenant();
  let ends = 0;
  const thread = new SubmissionThread({
    onEnded: () => (ends += 1),
    settings: requireServices(readConfiguration({ ...api.env, SUBMISSION_THREAD: "at-start" })),
    ...{ defaultTenantId: tenant.id, serversMaxAgeMs: 1_000, heapMaxMb: 96 },
    log: pino({ level: "silent" }),
    onNotChecked: () => undefined,
  });
  const batchOf = (jobs: object[]): Parameters<SubmissionThread["answer"]>[0] => ({
    ...{ kind: "batch", fields: {}, isLines: false, baseUrl: "http://here" },
    principal: { tenant, role: "submit", keyName: "a-key" },
    body: new Uint8Array(new TextEncoder().encode(JSON.stringify({ jobs }))),
  });
  try {
    const nodes = Array.from({ length: 150 }, (_, index) => [
      index,
      { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: index } },
    ]);
    const workflow = Object.fromEntries(nodes) as object;
    const large = Array.from({ length: 1_200 }, () => ({ type: "workflow", workflow }));
    await expect(thread.answer(batchOf(large))).rejects.toMatchObject({
      code: "submission-interrupted",
    });
    const { jobs } = await thread.answer(batchOf([image]));
    expect(jobs).toEqual({ image: 1 });
    expect(ends).toBe(1);
  } finally {
    await thread.close();
  }
}, 180_000);
