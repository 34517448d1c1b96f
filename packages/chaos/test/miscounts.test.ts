import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { migrate, openDatabase, type Database } from "@genga/database";
import { buildFailure, buildJob, buildOutput, createTestDatabase, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { readMiscounts } from "../src/observing/audit.ts";

// Tests the check of counts that a chaos round makes after its jobs have ended.

let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
let tenantId: string;
const batchId = uuidv7();

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
  tenantId = (await database.tenants.defaultTenant()).id;
  await endJobs();
}, 180_000);
afterAll(async () => {
  await client.end();
  await database.close();
  await scratch.drop();
});

/** Five jobs of a batch that ended: some completed with outputs, some failed. One of them is removed again. */
async function endJobs(): Promise<void> {
  const batch = { id: batchId, name: null };
  const jobs = await database.jobRequests.insertJobs({
    ...{ tenantId, batch },
    jobs: Array.from({ length: 5 }, () => buildJob()),
  });
  const [server] = await database.servers.registerServers([{ url: "http://gpu", slots: 5 }]);
  for (const [index, { id: jobId }] of jobs.entries()) {
    const claim = {
      jobId,
      attempt: 1,
      ticketNumber: 0,
      serverId: server!.id,
      promptId: uuidv7(),
      clientId: "c",
      workerId: "w",
    };
    const [lease] = await database.jobRuns.claimJobs([claim], 60_000);
    await database.jobRuns.endAttempt(
      lease!,
      index < 3
        ? { kind: "completed", outputs: [buildOutput({ bytes: 100 + index })] }
        : { kind: "failed", failure: buildFailure() },
    );
  }
  await database.jobRequests.removeJob(jobs[0]!.id);
}

test("correct counts pass the check, however often they were folded", async () => {
  expect(await readMiscounts(scratch.url)).toEqual([]);
  while ((await database.keeping.foldCounts(1)) > 0) expect(await readMiscounts(scratch.url)).toEqual([]);
});

const tables = ["tenant_job_counts", "batch_job_counts", "ended_job_changes"];
/** Saves the correct counts, and restores them after each test that changed them. */
beforeAll(async () => {
  for (const table of tables) await client.query(`CREATE TABLE right_${table} AS TABLE ${table}`);
});
afterEach(async () => {
  for (const table of tables)
    await client.query(`DELETE FROM ${table}; INSERT INTO ${table} TABLE right_${table}`);
});

const completed = "status = 'completed'";
test.each([
  [
    "a job too many",
    `UPDATE tenant_job_counts SET jobs = jobs + 1 WHERE ${completed}`,
    [/^tenant .* 1 completed jobs/],
  ],
  [
    "a job too few",
    `UPDATE batch_job_counts SET jobs = jobs - 1 WHERE ${completed}`,
    [/^batch .* -1 completed jobs/],
  ],
  [
    "bytes too many",
    `UPDATE tenant_job_counts SET bytes = bytes + 7 WHERE ${completed}`,
    [/^tenant .* 0 completed jobs and 7 bytes/],
  ],
  ["a lost status", "DELETE FROM batch_job_counts WHERE status = 'failed'", [/^batch .* -2 failed jobs/]],
  [
    "a change of an end that never was",
    `INSERT INTO ended_job_changes (tenant_id, batch_id, status, jobs, bytes)
     SELECT id, '${batchId}', 'timeout', 1, 0 FROM tenants LIMIT 1`,
    [/^batch .* 1 timeout jobs/, /^tenant .* 1 timeout jobs/],
  ],
])("%s is found", async (_what, change, expected) => {
  while ((await database.keeping.foldCounts(1)) > 0);
  await client.query(change);
  const found = (await readMiscounts(scratch.url)).sort();
  expect(found).toEqual(expected.map((pattern): unknown => expect.stringMatching(pattern)));
});
