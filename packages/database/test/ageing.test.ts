import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";
import { type Announcement, type Job, type JobPriority } from "@genga/jobs";
import { buildJob, buildLane, createTestDatabase, type TestDatabase } from "@genga/testing";
import { oldestWaiting } from "../src/jobs/ranks/age-jobs.ts";

const ageingMs = 600_000;
let scratch: TestDatabase;
let database: Database;
let client: pg.Client;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.close();
  await scratch.drop();
});
beforeEach(async () => {
  await client.query(
    "UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now() WHERE status = 'queued'",
  );
  await client.query("DELETE FROM tenant_queues; DELETE FROM lane_clocks");
});

async function freshTenant(): Promise<string> {
  const [tenant] = await database.tenants.ensureTenants([`tenant-${uuidv7()}`]);
  return tenant!.id;
}

interface Wanted {
  priority: JobPriority;
  lane?: string;
}

/** Accepts jobs, gives them tickets, and lets `waitedMs` pass for them. */
async function wait(tenantId: string, wanted: Wanted[], waitedMs = ageingMs): Promise<Job[]> {
  const jobs = await database.jobRequests.insertJobs({
    tenantId,
    batch: { id: uuidv7(), name: null },
    jobs: wanted.map(({ priority, lane }) => {
      return buildJob({ priority, lane: lane === undefined ? null : buildLane(lane) });
    }),
  });
  await announce();
  await passMs(waitedMs);
  return jobs;
}

async function announce(): Promise<Announcement[]> {
  const tickets = await database.jobAnnouncer.listUnannounced(10_000);
  await database.jobAnnouncer.markEnqueued(tickets);
  return tickets;
}

async function passMs(ms: number): Promise<void> {
  const past = "- $1::float8 * interval '1 millisecond'";
  await client.query(`UPDATE jobs SET enqueued_at = enqueued_at ${past}, aged_at = aged_at ${past}`, [ms]);
  await client.query(`UPDATE tenant_queues SET aged_at = aged_at ${past}`, [ms]);
}

const age = async (): Promise<string[]> =>
  (await database.jobAnnouncer.ageJobs(ageingMs, 1_000)).map(({ jobId }) => jobId);
const agedBandsOf = async (jobs: Job[]): Promise<number[]> =>
  await Promise.all(
    jobs.map(async ({ id }) => {
      const job = await database.jobRuns.findJob(id);
      return job === null || job === "removed" ? NaN : job.agedBands;
    }),
  );

test("moves up only the oldest job of each tenant, lane and band", async () => {
  const [one, other] = [await freshTenant(), await freshTenant()];
  const ofOne = await wait(one, [
    { priority: "normal" },
    { priority: "normal" },
    { priority: "low" },
    { priority: "normal", lane: "a" },
    { priority: "normal", lane: "a" },
  ]);
  const ofOther = await wait(other, [{ priority: "normal" }, { priority: "normal" }]);
  const oldest = [ofOne[0], ofOne[2], ofOne[3], ofOther[0]].map((job) => job!.id);
  expect((await age()).sort()).toEqual(oldest.sort());
});

test("moves up no job before its time, and then only one in that time", async () => {
  const jobs = await wait(
    await freshTenant(),
    [{ priority: "normal" }, { priority: "normal" }],
    ageingMs - 60_000,
  );
  expect(await age()).toEqual([]);
  await passMs(60_000);
  expect(await age()).toEqual([jobs[0]!.id]);
  expect(await age()).toEqual([]);
  await passMs(ageingMs);
  expect(await age()).toEqual([jobs[1]!.id]);
});

test("moves no job into urgent, and a low one twice", async () => {
  const jobs = await wait(await freshTenant(), [
    { priority: "urgent" },
    { priority: "high" },
    { priority: "normal" },
    { priority: "low" },
  ]);
  for (const aged of [
    [0, 0, 1, 1],
    [0, 0, 1, 2],
    [0, 0, 1, 2],
  ]) {
    await age();
    expect(await agedBandsOf(jobs)).toEqual(aged);
    await announce();
    await passMs(ageingMs);
  }
});

test("gives a job its turn in the band above, and a new ticket instead of the old one", async () => {
  const tenantId = await freshTenant();
  const flood = await wait(
    await freshTenant(),
    Array.from({ length: 30 }, () => ({ priority: "high" as const })),
    0,
  );
  const [job] = await wait(tenantId, [{ priority: "normal" }]);
  const stale = { jobId: job!.id, attempt: 1, ticketNumber: 0 };
  expect(await database.jobAnnouncer.ageJobs(ageingMs, 10)).toEqual([{ ...stale, lane: "default" }]);
  expect(await database.jobRuns.readCandidates([stale])).toEqual([]);
  const [ticket] = (await announce()).filter(({ jobId }) => jobId === job!.id);
  expect(ticket).toMatchObject({ ticketNumber: 1, priority: "normal", agedBands: 1 });
  expect(ticket!.rank).toBeLessThanOrEqual(flood[1]!.rank);
});

test("takes no job that was paused or claimed meanwhile", async () => {
  const jobs = await wait(await freshTenant(), [{ priority: "normal" }]);
  await database.jobRequests.pauseJob(jobs[0]!.id);
  expect(await age()).toEqual([]);
  expect(await agedBandsOf(jobs)).toEqual([0]);
});

test("a retried job begins in its own band again", async () => {
  const jobs = await wait(await freshTenant(), [{ priority: "normal" }]);
  await age();
  await database.jobRequests.requestCancel(jobs[0]!.id);
  await database.jobRequests.retryJob(jobs[0]!.id);
  expect(await agedBandsOf(jobs)).toEqual([0]);
});

test("reads a row or two for each queue, however many jobs wait", async () => {
  const tenantId = await freshTenant();
  await wait(tenantId, [{ priority: "normal" }]);
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, priority, rank, timeout_ms, enqueued_at)
     SELECT gen_random_uuid(), $1, 'image', 'normal', 16 * i, 1000, now() FROM generate_series(2, 100000) i`,
    [tenantId],
  );
  await client.query("ANALYZE jobs");
  const { sql, values } = oldestWaiting(ageingMs, 1_000);
  const numbered = sql.split("?").reduce((text, part, index) => `${text}$${index}${part}`);
  const { rows } = await client.query<{ "QUERY PLAN": object }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${numbered}`,
    values,
  );
  const buffers = Number(
    /"Shared Hit Blocks": (\d+)/.exec(JSON.stringify(rows[0]?.["QUERY PLAN"], null, 1))?.[1],
  );
  expect(buffers).toBeLessThan(200);
}, 180_000);
