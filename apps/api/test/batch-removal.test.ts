import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { z } from "zod";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let client: pg.Client;
let serverId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(async () => {
  await client.end();
  await api.stop();
});

const acceptedSchema = z.object({ id: z.string(), jobs: z.array(z.object({ id: z.string() })) });
async function submitBatch(count: number): Promise<{ id: string; jobIds: string[] }> {
  const sweep = { base: { type: "image", prompt: "x" }, seeds: { count } };
  const accepted = acceptedSchema.parse(await (await api.post("batches", { sweep })).json());
  return { id: accepted.id, jobIds: accepted.jobs.map(({ id }) => id) };
}
async function answerOf(method: string, path: string): Promise<[status: number, code: unknown]> {
  const response = await api.request(path, { method });
  const text = await response.text();
  return [response.status, text === "" ? null : (JSON.parse(text) as { code?: unknown }).code];
}
async function tombstones(ids: string[]): Promise<number> {
  const { rowCount } = await client.query("SELECT FROM removed_jobs WHERE id = ANY($1)", [ids]);
  return rowCount ?? 0;
}

test("a batch is removed with its jobs once all of them have ended, and answers 410 from then on", async () => {
  const { id, jobIds } = await submitBatch(3);
  await api.worker.complete(await api.worker.claim(jobIds[0]!, serverId), [
    { filename: "a.png", body: Buffer.from("a") },
  ]);
  expect(await answerOf("DELETE", `batches/${id}`)).toEqual([409, "batch-not-ended"]);
  expect(await tombstones(jobIds)).toBe(0);
  await answerOf("POST", `batches/${id}/cancel`);
  expect(await answerOf("DELETE", `batches/${id}`)).toEqual([204, null]);
  expect(await answerOf("GET", `batches/${id}`)).toEqual([410, "batch-removed"]);
  expect(await answerOf("DELETE", `batches/${id}`)).toEqual([410, "batch-removed"]);
  expect(await answerOf("POST", `batches/${id}/retry`)).toEqual([410, "batch-removed"]);
  expect(await answerOf("GET", `jobs/${jobIds[0]!}`)).toEqual([410, "job-removed"]);
  expect(await tombstones(jobIds)).toBe(3);
  // Files and tickets are on record for the keeper.
  const { rowCount } = await client.query("SELECT FROM pending_removals WHERE job_id = ANY($1)", [jobIds]);
  expect(rowCount).toBe(3);
  const { rows } = await client.query("SELECT action FROM audit_events WHERE action = 'batch-removed'");
  expect(rows).toHaveLength(1);
});

test("a retry during the removal keeps what it has queued again", async () => {
  const { id, jobIds } = await submitBatch(2);
  await answerOf("POST", `batches/${id}/cancel`);
  // The retry has locked the first job and is not committed yet; the removal takes the other, and waits for its turn.
  await client.query("BEGIN");
  await client.query("SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE", [jobIds[0]]);
  const removing = answerOf("DELETE", `batches/${id}`);
  while ((await api.database.jobReader.summarizeQueue()).counts.cancelled > 0) {
    const left = await api.database.jobRuns.findJob(jobIds[1]!);
    if (left === "removed") break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await client.query(
    "UPDATE jobs SET status = 'queued', phase = 'waiting', finished_at = NULL, cancel_requested_at = NULL WHERE id = $1",
    [jobIds[0]],
  );
  await client.query("COMMIT");
  expect(await removing).toEqual([409, "batch-not-ended"]);
  expect(await (await api.request(`batches/${id}`)).json()).toMatchObject({
    ...{ total: 2, counts: { queued: 1, cancelled: 0 } },
  });
});

test("ten thousand jobs are removed, and no step holds locks for long", async () => {
  const { id, jobIds } = await submitBatch(10_000);
  await answerOf("POST", `batches/${id}/cancel`);
  const longest = { ms: 0, isDone: false };
  const removing = answerOf("DELETE", `batches/${id}`).finally(() => (longest.isDone = true));
  while (!longest.isDone) {
    const { rows } = await client.query<{ ms: number | null }>(
      `SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 * 1000 AS ms FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`,
    );
    longest.ms = Math.max(longest.ms, rows[0]?.ms ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(await removing).toEqual([204, null]);
  expect(await tombstones(jobIds)).toBe(10_000);
  // A step takes a fraction of a second; all of them together take many times that.
  expect(longest.ms).toBeLessThan(10_000);
}, 180_000);
