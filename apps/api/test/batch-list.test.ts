import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { z } from "zod";
import { batchDetailSchema, batchViewSchema } from "../src/jobs/batch-view.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest({
    env: { API_KEYS: "studio:submit:artist-key-0123456789abcdef,rival:read:rival-key-0123456789abcdef" },
  });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

const artist = { "x-api-key": "artist-key-0123456789abcdef" };
const rival = { "x-api-key": "rival-key-0123456789abcdef" };
const acceptedSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
const pageSchema = z.object({ batches: z.array(batchViewSchema), nextCursor: z.string().nullable() });

async function submitBatch(body: object, count = 1): Promise<{ id: string; jobIds: string[] }> {
  const jobs = Array.from({ length: count }, () => ({ type: "image", prompt: "x" }));
  const accepted = acceptedSchema.parse(await (await api.post("batches", { ...body, jobs }, artist)).json());
  return { id: accepted.id, jobIds: accepted.jobs.map(({ id }) => id) };
}
async function list(query: string, headers = artist): Promise<z.infer<typeof pageSchema>> {
  return pageSchema.parse(await (await api.request(`batches?${query}`, { headers })).json());
}

test("batches are listed newest first, by label, in pages that neither skip nor repeat one", async () => {
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    const shot = index % 2 === 0 ? "even" : "odd";
    ids.push((await submitBatch({ name: `take ${index}`, project: "listed", shot, tags: ["t"] })).id);
  }
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: z.infer<typeof pageSchema> = await list(
      `project=listed&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    seen.push(...page.batches.map(({ id }) => id));
    cursor = page.nextCursor;
  }
  expect(seen).toEqual(ids.toReversed());
  expect((await list("shot=odd&tag=t")).batches.map(({ name }) => name)).toEqual(["take 3", "take 1"]);
  expect((await list("scene=nowhere")).batches).toEqual([]);
  expect((await list("limit=200", rival)).batches).toEqual([]);
});

test("a batch says how far it has come, running jobs included, and which of its jobs failed first", async () => {
  const { id, jobIds } = await submitBatch({ name: "four" }, 4);
  const detail = async (): Promise<z.infer<typeof batchDetailSchema>> =>
    batchDetailSchema.parse(await (await api.request(`batches/${id}`, { headers: artist })).json());
  expect(await detail()).toMatchObject({ percent: 0, firstErrors: [] });
  const failure = { class: "execution", code: "node-failed", message: "The sampler raised." } as const;
  await api.worker.complete(await api.worker.claim(jobIds[0]!, serverId), []);
  await api.worker.end(await api.worker.claim(jobIds[3]!, serverId), { kind: "failed", failure });
  const running = await api.worker.claim(jobIds[1]!, serverId);
  await api.worker.report(running, "executing", { percent: 50 });
  const half = await detail();
  expect(half).toMatchObject({ percent: 62.5, done: false, counts: { queued: 1, processing: 1 } });
  expect(half.firstErrors).toMatchObject([
    { jobId: jobIds[3], index: 3, status: "failed", failure: { code: "node-failed" } },
  ]);
  expect((await list("limit=1")).batches[0]).toMatchObject({ id, percent: 62.5, name: "four" });
  await api.worker.end(running, { kind: "timeout", failure: { ...failure, class: "deadline" } });
  await api.request(`jobs/${jobIds[2]!}/cancel`, { method: "POST", headers: artist });
  expect((await detail()).firstErrors.map(({ index }) => index)).toEqual([1, 3]);
  // A removed job has neither status nor percentage, and the others are counted as before.
  await api.request(`jobs/${jobIds[0]!}`, { method: "DELETE", headers: artist });
  const counts = { queued: 0, processing: 0, completed: 0, failed: 1, timeout: 1, cancelled: 1 };
  expect(await detail()).toMatchObject({ percent: 100, done: true, total: 4, counts });
});
