import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { type Job, type NewJob } from "@genga/jobs";
import { buildJob } from "@genga/testing";
import { openTestStores } from "./test-stores.ts";

let stores: Awaited<ReturnType<typeof openTestStores>>;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
});
afterAll(async () => {
  await stores.close();
});

const insert = (jobs: NewJob[]): Promise<Job[]> =>
  stores.jobRequests.insertJobs({ tenantId, batch: { id: uuidv7(), name: null }, jobs });

test("accepts ten thousand jobs, each with a graph of its own, at once", async () => {
  const jobs = Array.from({ length: 10_000 }, (_, batchIndex) =>
    buildJob({ batchIndex, prompt: `picture number ${batchIndex}`, tags: ["bulk"] }),
  );
  const inserted = await insert(jobs);
  await stores.jobAnnouncer.markEnqueued(
    inserted.map(({ id }) => ({ jobId: id, attempt: 1, ticketNumber: 0 })),
  );
  expect(inserted).toHaveLength(10_000);
  expect(new Set(inserted.map(({ rank }) => rank)).size).toBe(10_000);
  expect(await stores.jobReader.summarizeQueue()).toMatchObject({ counts: { queued: 10_000 } });
}, 180_000);

test("cancels ten thousand jobs in about the time of one statement", async () => {
  const jobs = Array.from({ length: 10_000 }, (_, batchIndex) => buildJob({ batchIndex }));
  const [first] = await insert(jobs);
  const client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  try {
    await client.query("BEGIN");
    const statementMs = await timeOf(() =>
      client.query(
        `WITH job AS (
          UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now(), event_sequence = event_sequence + 1
          WHERE batch_id = $1 RETURNING *
        ) INSERT INTO job_events (job_id, sequence, type, attempt)
          SELECT id, event_sequence, 'cancelled', attempt FROM job`,
        [first!.batchId],
      ),
    );
    await client.query("ROLLBACK");
    const cancelMs = await timeOf(async () => {
      const { cancelled, requested } = await stores.jobRequests.cancelBatch(first!.batchId!);
      expect([cancelled.length, requested.length]).toEqual([10_000, 0]);
    });
    // The statement returns the rows, which become jobs, and that takes time, too. A join of every row with every event
    // would take ten times as long.
    expect(cancelMs / statementMs).toBeLessThan(8);
    expect(
      (await stores.jobReader.of(tenantId).listEvents(first!.id, 0, 10)).map(({ type }) => type),
    ).toEqual(["accepted", "cancelled"]);
  } finally {
    await client.end();
  }
}, 180_000);

test("pauses and resumes a large batch in groups, so that no claim waits for the whole of it", async () => {
  const jobs = await insert(Array.from({ length: 2_500 }, (_, batchIndex) => buildJob({ batchIndex })));
  const [first, last] = [jobs[0]!, jobs.at(-1)!];
  const pausedCount = async (): Promise<number> =>
    Number(
      (
        await client.query<{ count: string }>(
          "SELECT count(*) FROM jobs WHERE batch_id = $1 AND paused_at IS NOT NULL",
          [first.batchId],
        )
      ).rows[0]!.count,
    );
  const client = new pg.Client({ connectionString: stores.url });
  const holder = new pg.Client({ connectionString: stores.url });
  await Promise.all([client.connect(), holder.connect()]);
  try {
    await holder.query("BEGIN");
    await holder.query("SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE", [last.id]);
    const pausing = stores.jobRequests.pauseBatch(first.batchId!);
    while ((await pausedCount()) < 2_000) await new Promise((resolve) => setTimeout(resolve, 5));
    await client.query("SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE NOWAIT", [first.id]);
    await holder.query("COMMIT");
    const paused = await pausing;
    expect(paused.map(({ job }) => job.id)).toEqual(jobs.map(({ id }) => id));
    expect(await pausedCount()).toBe(2_500);
    expect(await stores.jobRequests.resumeBatch(first.batchId!)).toHaveLength(2_500);
    expect(await pausedCount()).toBe(0);
  } finally {
    await Promise.all([client.end(), holder.end()]);
  }
}, 180_000);

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

test("accepts all jobs of a large batch or none", async () => {
  const [first, ...rest] = Array.from({ length: 1_200 }, (_, batchIndex) => buildJob({ batchIndex }));
  const batch = { id: uuidv7(), name: "refused" };
  const jobs = [first!, ...rest, buildJob({ id: first!.id, batchIndex: 1_200 })];
  await expect(stores.jobRequests.insertJobs({ tenantId, batch, jobs })).rejects.toThrow();
  expect(await stores.jobReader.of(tenantId).findBatch(batch.id)).toBeNull();
  expect(await stores.jobRuns.findJob(first!.id)).toBeNull();
  const inserted = await stores.jobRequests.insertJobs({ tenantId, batch, jobs: jobs.slice(0, -1) });
  expect(inserted.map(({ id }) => id)).toEqual(jobs.slice(0, -1).map(({ id }) => id));
  expect(await stores.jobReader.of(tenantId).findBatch(batch.id)).toMatchObject({
    total: 1_200,
    counts: { queued: 1_200 },
  });
}, 180_000);

test("two batches of the same graphs do not deadlock", async () => {
  const prompts = Array.from({ length: 200 }, (_, index) => `shared ${index}`);
  const jobsOf = (order: string[]): NewJob[] =>
    order.map((prompt, batchIndex) => buildJob({ prompt, batchIndex }));
  for (let round = 0; round < 5; round += 1) {
    const fresh = prompts.map((prompt) => `${prompt} in round ${round}`);
    await Promise.all([insert(jobsOf(fresh)), insert(jobsOf(fresh.toReversed())), insert(jobsOf(fresh))]);
  }
  const client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const { rows } = await client.query(`
    SELECT count(*)::int AS jobs, count(DISTINCT workflow_hash)::int AS graphs FROM job_parameters
    WHERE prompt_text LIKE 'shared%'`);
  await client.end();
  expect(rows).toEqual([{ jobs: 3_000, graphs: 1_000 }]);
}, 180_000);

test("ranks of a band begin at 0 again once they are large and no job of the band is queued", async () => {
  const client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO lane_clocks (lane, priority, claimed_rank) VALUES ('default', 'urgent', 70000), ('default', 'high', 70000)
       ON CONFLICT (lane, priority) DO UPDATE SET claimed_rank = 70000`,
    );
    const [waiting] = await insert([buildJob({ priority: "high", batchIndex: 0 })]);
    expect(waiting?.rank).toBe(70_016);
    await stores.jobAnnouncer.forgetIdleRanks();
    const [urgent, high] = await insert([
      buildJob({ priority: "urgent", batchIndex: 0 }),
      buildJob({ priority: "high", batchIndex: 1 }),
    ]);
    expect([urgent?.rank, high?.rank]).toEqual([16, 70_032]);
  } finally {
    await client.end();
  }
});
