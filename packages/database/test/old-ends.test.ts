import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { buildJob, buildOutput } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

async function claimNew(): Promise<Awaited<ReturnType<typeof stores.jobRuns.claimJobs>>[number]> {
  const { id: tenantId } = await stores.tenants.defaultTenant();
  const [job] = await stores.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] });
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: job!.id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const [lease] = await stores.jobRuns.claimJobs([{ ...claim, workerId: "w", clientId: "c" }], 60_000);
  return lease!;
}

async function bytesOf(jobId: string): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    "SELECT output_bytes AS bytes FROM jobs WHERE id = $1",
    [jobId],
  );
  return Number(rows[0]?.bytes);
}

async function countedBytes(): Promise<number> {
  await stores.keeping.foldCounts(1_000);
  const { rows } = await client.query<{ bytes: string }>("SELECT sum(bytes) AS bytes FROM tenant_job_counts");
  return Number(rows[0]?.bytes);
}

test("outputs that a process of an earlier version stored are counted like those of this version", async () => {
  const output = buildOutput({ bytes: 1_000 });
  const [own, old] = [await claimNew(), await claimNew()];
  await stores.jobRuns.endAttempt(own, { kind: "completed", outputs: [output] });
  expect([await bytesOf(own.jobId), await countedBytes()]).toEqual([1_000, 1_000]);

  // Such a process ends a job with a statement that does not know the column.
  await client.query(
    `WITH job AS (
       UPDATE jobs SET status = 'completed', phase = NULL, percent = 100, finished_at = now(), lease_owner = NULL,
         lease_expires_at = NULL, event_sequence = event_sequence + 1
       WHERE id = $1 RETURNING *
     )
     INSERT INTO outputs (id, job_id, attempt, index, node_id, key, kind, filename, media_type, bytes, sha256, storage_key)
     SELECT $2::uuid, id, attempt, 0, '1', 'images', 'file', 'a.png', 'image/png', 700, $3, 'jobs/a.png' FROM job`,
    [old.jobId, uuidv7(), output.sha256],
  );
  expect([await bytesOf(old.jobId), await countedBytes()]).toEqual([700, 1_700]);
});
