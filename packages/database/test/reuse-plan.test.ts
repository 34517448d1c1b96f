import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { lockStatement } from "../src/jobs/accepting/reuse-jobs.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// A submission locks the jobs that it is answered from, and the jobs in whose folders their files lie, among all that are kept.

const many = 100_000;
let stores: TestStores;
let client: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const tenantId = (await stores.tenants.defaultTenant()).id;
  // Without triggers and checks of foreign keys, which take most of the time here.
  await client.query("SET session_replication_role = replica");
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, percent, rank, attempt, timeout_ms, finished_at)
     SELECT gen_random_uuid(), $1, 'image', 'completed', NULL, 100, i, 1, 1000, now() FROM generate_series(1, $2::int) i`,
    [tenantId, many],
  );
  await client.query(
    `INSERT INTO job_inputs (job_id, name, needs_id, output_index, storage_key)
     SELECT job.id, 'reused 0', maker.id, 0, 'jobs/' || maker.id || '/1-1/0.png'
     FROM jobs job JOIN jobs maker ON maker.rank = (job.rank + 1) / 2`,
  );
  await client.query("ANALYZE jobs, job_inputs");
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

test.each([1, 1_000])("%p sources are locked without reading other jobs", async (count) => {
  const { rows } = await client.query<{ id: string }>("SELECT id FROM jobs ORDER BY rank DESC LIMIT $1", [
    count,
  ]);
  const statement = lockStatement(rows.map(({ id }) => id));
  const makers = Math.ceil((count + 1) / 2);
  expect(await rowsRead(client, "jobs", statement)).toBeLessThanOrEqual(count + makers);
  expect(await rowsRead(client, "job_inputs", statement)).toBe(count);
});
