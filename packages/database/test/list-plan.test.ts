import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type JobStatus } from "@genga/jobs";
import pg from "pg";
import { listStatement } from "../src/jobs/reading/list-jobs.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

const endedJobs = 20_000;
const limit = 200;

let stores: TestStores;
let client: pg.Client;
let serverId: string;
beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const [server] = await stores.servers.registerServers([{ url: "http://127.0.0.1:9", slots: 2 }]);
  serverId = server!.id;
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

const insertJobs = `INSERT INTO jobs (id, tenant_id, type, rank, timeout_ms, status, phase, finished_at, percent, attempt,
    lease_number, lease_owner, lease_expires_at, server_id, client_id, prompt_id)
  SELECT gen_random_uuid(), $1, 'image', i, 1000, $2::job_status, (CASE $2 WHEN 'queued' THEN 'waiting' WHEN 'processing' THEN 'executing' END)::job_phase,
    CASE WHEN is_ended THEN now() END, CASE WHEN is_ended THEN 100 ELSE 0 END, 1,
    1, CASE WHEN runs THEN 'worker' END, CASE WHEN runs THEN now() END, CASE WHEN runs THEN $4::uuid END,
    CASE WHEN runs THEN 'client' END, CASE WHEN runs THEN gen_random_uuid() END
  FROM generate_series(1, $3::int) i, LATERAL (SELECT $2 = 'completed' AS is_ended, $2 = 'processing' AS runs) state`;

/** Two tenants with many ended jobs each; the first one also has jobs that have not ended. */
async function seed(open: Partial<Record<JobStatus, number>>): Promise<string> {
  await client.query("TRUNCATE jobs CASCADE");
  const [tenant, other] = await stores.tenants.ensureTenants(["reader", "other"]);
  for (const { id } of [tenant!, other!]) {
    await client.query(insertJobs, [id, "completed", endedJobs, null]);
  }
  for (const [status, count] of Object.entries(open)) {
    await client.query(insertJobs, [tenant!.id, status, count, serverId]);
  }
  await client.query("VACUUM ANALYZE jobs");
  return tenant!.id;
}

async function rowsOfPage(tenantId: string, statuses: JobStatus[]): Promise<number> {
  return await rowsRead(client, "jobs", listStatement(tenantId, { statuses, limit })!);
}

test("a page of running or waiting jobs reads none of the jobs that have ended", async () => {
  const tenantId = await seed({ processing: 1, queued: 1 });
  expect(await rowsOfPage(tenantId, ["processing"])).toBeLessThan(10);
  expect(await rowsOfPage(tenantId, ["queued"])).toBeLessThan(10);
  expect(await rowsOfPage(tenantId, ["queued", "processing"])).toBeLessThan(10);
});

test("a page of running jobs does not read the waiting ones, however many they are", async () => {
  const tenantId = await seed({ processing: 3, queued: 20_000 });
  expect(await rowsOfPage(tenantId, ["processing"])).toBeLessThan(10);
  expect(await rowsOfPage(tenantId, ["queued"])).toBeLessThan(limit + 10);
  expect(await rowsOfPage(tenantId, ["queued", "processing"])).toBeLessThan(limit + 10);
});
