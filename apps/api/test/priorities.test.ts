import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Job } from "@genga/jobs";
import { z } from "zod";
import { jobDetailSchema } from "../src/jobs/job-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const acceptedSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
async function submitBatch(count: number): Promise<{ id: string; jobIds: string[] }> {
  const sweep = { base: { type: "image", prompt: "x" }, seeds: { count } };
  const accepted = acceptedSchema.parse(await (await api.post("batches", { sweep, priority: "low" })).json());
  return { id: accepted.id, jobIds: accepted.jobs.map(({ id }) => id) };
}
async function row(id: string): Promise<Job> {
  const job = await api.database.jobRuns.findJob(id);
  if (job === null || job === "removed") throw new Error(`Job ${id} is not there.`);
  return job;
}
/** The row once it has a ticket. */
async function announced(id: string): Promise<Job> {
  for (;;) {
    const job = await row(id);
    if (job.enqueuedAt !== null) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("what waits of a batch changes its priority in its order, with new tickets; running jobs keep theirs", async () => {
  const { id, jobIds } = await submitBatch(3);
  const [running, second, third] = jobIds;
  for (const jobId of jobIds) await announced(jobId);
  await api.worker.claim(running!, serverId);
  const response = await api.post(`batches/${id}/priority`, { priority: "urgent" });
  expect(await response.json()).toMatchObject({ id, counts: { queued: 2, processing: 1 } });
  expect((await row(running!)).priority).toBe("low");
  const [first, next] = [await announced(second!), await announced(third!)];
  for (const job of [first, next]) expect(job).toMatchObject({ priority: "urgent", ticketNumber: 1 });
  expect(first.rank).toBeLessThan(next.rank);
  const events = await api.database.jobReader.of(first.tenantId).listEvents(second!, 1, 10);
  expect(events).toMatchObject([{ type: "priority_changed", data: { from: "low", to: "urgent" } }]);
  // The tickets of before are stale, and the same request again changes nothing.
  const stale = [second!, third!].map((jobId) => ({ jobId, attempt: 1, ticketNumber: 0 }));
  expect(await api.database.jobRuns.readCandidates(stale)).toEqual([]);
  await api.post(`batches/${id}/priority`, { priority: "urgent" });
  expect(await row(second!)).toMatchObject({ ticketNumber: 1, eventSequence: 2 });
});

test("a job goes to the end of its tenant's jobs of the other priority, and only while it waits", async () => {
  const { jobIds } = await submitBatch(3);
  const [last] = jobIds;
  for (const jobId of [jobIds[1]!, jobIds[2]!, last!]) {
    const response = await api.post(`jobs/${jobId}/priority`, { priority: "high" });
    expect(jobDetailSchema.parse(await response.json())).toMatchObject({
      priority: "high",
      status: "queued",
    });
  }
  const ranks = await Promise.all(jobIds.map(async (jobId) => (await row(jobId)).rank));
  expect(ranks[0]).toBeGreaterThan(Math.max(ranks[1]!, ranks[2]!));
  await api.post(`jobs/${last!}/pause`, {});
  await api.post(`jobs/${last!}/priority`, { priority: "normal" });
  expect(await row(last!)).toMatchObject({ priority: "normal", enqueuedAt: null });
  expect((await row(last!)).pausedAt).not.toBeNull();
  await api.worker.claim(jobIds[1]!, serverId);
  const refused = await api.post(`jobs/${jobIds[1]!}/priority`, { priority: "low" });
  expect(await refused.json()).toMatchObject({ status: 409, code: "job-running" });
});
