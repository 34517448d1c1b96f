import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { batchViewSchema } from "../src/jobs/batch-view.ts";
import { jobDetailSchema, type JobDetail } from "../src/jobs/job-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const acceptedSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
const failure = { class: "server", code: "server-lost", message: "gone" } as const;
const requeue = { kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false } as const;

async function submitBatch(count: number): Promise<{ id: string; jobs: { id: string }[] }> {
  const jobs = Array.from({ length: count }, () => ({ type: "image", prompt: "x" }));
  return acceptedSchema.parse(await (await api.post("batches", { jobs })).json());
}
async function change(path: string): Promise<{ status: number; body: unknown }> {
  const response = await api.request(path, { method: "POST" });
  return { status: response.status, body: await response.json() };
}
async function read(id: string): Promise<JobDetail> {
  return jobDetailSchema.parse(await (await api.request(`jobs/${id}`)).json());
}
async function eventsOf(id: string): Promise<string[]> {
  const job = await api.database.jobRuns.findJob(id);
  if (job === null || job === "removed") throw new Error(`Job ${id} is not there.`);
  const events = await api.database.jobReader.of(job.tenantId).listEvents(id, 0, 100);
  return events.map(({ type }) => type);
}
async function announced(): Promise<string[]> {
  return (await api.database.jobAnnouncer.listUnannounced(10_000)).map(({ jobId }) => jobId);
}

describe("a paused batch", () => {
  test("holds its waiting jobs and those that are queued again, while running ones go on", async () => {
    const { id, jobs } = await submitBatch(4);
    const [done, lost, waiting, cancelled] = jobs.map((job) => job.id);
    const first = await api.worker.claim(done!, serverId);
    const second = await api.worker.claim(lost!, serverId);

    const paused = await change(`batches/${id}/pause`);
    expect(paused.status).toBe(200);
    expect(batchViewSchema.parse(paused.body)).toMatchObject({ counts: { queued: 2, processing: 2 } });
    expect(batchViewSchema.parse(paused.body).pausedAt).not.toBeNull();
    await change(`batches/${id}/pause`); // A second request changes nothing.
    expect(await eventsOf(waiting!)).toEqual(["accepted", "paused"]);
    expect(await read(waiting!)).toMatchObject({ waitingFor: { code: "paused" } });

    await api.worker.complete(first, []);
    await api.worker.end(second, requeue);
    expect(await read(done!)).toMatchObject({ status: "completed", pausedAt: null });
    expect(await read(lost!)).toMatchObject({ status: "queued", waitingFor: { code: "paused" } });
    await change(`jobs/${cancelled!}/cancel`);
    expect(await read(cancelled!)).toMatchObject({ status: "cancelled", pausedAt: null });
    await api.post(`jobs/${cancelled!}/retry`, {});
    expect(await read(cancelled!)).toMatchObject({ status: "queued", waitingFor: { code: "paused" } });
    const unannounced = await announced();
    for (const job of [lost, waiting, cancelled]) expect(unannounced).not.toContain(job);

    const resumed = batchViewSchema.parse((await change(`batches/${id}/resume`)).body);
    expect(resumed).toMatchObject({ pausedAt: null, counts: { queued: 3, completed: 1 } });
    expect(await eventsOf(waiting!)).toEqual(["accepted", "paused", "resumed"]);
    for (const job of [lost, waiting, cancelled]) {
      await api.worker.complete(await api.worker.claim(job!, serverId), []);
    }
    expect(await change(`batches/${id}/pause`)).toMatchObject({
      ...{ status: 409, body: { code: "batch-already-ended" } },
    });
    expect(await change(`batches/${id}/resume`)).toMatchObject({ status: 200, body: { done: true } });
  });
});

describe("a paused job", () => {
  test("waits alone, and counts on towards its queue deadline", async () => {
    const expiresAt = new Date(Date.now() + 2_000).toISOString();
    const job = { type: "image", prompt: "x", expiresAt };
    const { id } = z.object({ id: z.string() }).parse(await (await api.post("generate", job)).json());
    const paused = jobDetailSchema.parse((await change(`jobs/${id}/pause`)).body);
    expect(paused).toMatchObject({ status: "queued", waitingFor: { code: "paused" } });
    expect(paused.links["resume"]).toMatch(/resume$/);
    expect(paused.links["pause"]).toBeUndefined();
    const stored = await api.database.jobRuns.findJob(id);
    expect(stored).toMatchObject({ enqueuedAt: null, ticketNumber: 1 });
    for (;;) {
      const ended = (await api.database.jobRuns.expireQueued(1_000)).map((one) => one.job.id);
      if (ended.includes(id)) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await read(id)).toMatchObject({ status: "timeout", pausedAt: null });
    expect(await change(`jobs/${id}/pause`)).toMatchObject({ body: { code: "job-already-ended" } });
  });

  test("is resumed by its own request, also in a batch that stays paused, and not while it runs", async () => {
    const { id, jobs } = await submitBatch(2);
    const [one, other] = jobs.map((job) => job.id);
    await change(`batches/${id}/pause`);
    expect((await change(`jobs/${one!}/resume`)).body).toMatchObject({ status: "queued", pausedAt: null });
    expect((await read(other!)).pausedAt).not.toBeNull();
    await api.worker.claim(one!, serverId);
    expect(await change(`jobs/${one!}/pause`)).toMatchObject({ status: 409, body: { code: "job-running" } });
    expect(await change(`jobs/${one!}/resume`)).toMatchObject({ status: 409, body: { code: "job-running" } });
  });
});
