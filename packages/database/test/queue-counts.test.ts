import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { queueStatement } from "../src/jobs/reading/count-jobs.ts";
import { listStatement } from "../src/jobs/reading/list-jobs.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Two tenants have 10,000 jobs each in two lanes. They were counted as they came, so nobody counts them again.

const many = 10_000;
let stores: TestStores;
let client: pg.Client;
let tenants: string[];

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenants = (await stores.tenants.ensureTenants(["flood", "other"])).map(({ id }) => id);
  for (const tenantId of tenants) {
    await client.query(
      `INSERT INTO jobs (id, tenant_id, type, lane, rank, timeout_ms, created_at)
       SELECT gen_random_uuid(), $1, 'image', 'lane-' || i % 2, i, 1000, now() - i * interval '1 second'
       FROM generate_series(1, $2::int) i`,
      [tenantId, many],
    );
  }
  await client.query("ANALYZE");
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

const waiting = { lane: "lane-1", queued: many / 2, processing: 0 };

test("many waiting jobs are counted exactly, before their counts are added up and after", async () => {
  const ofTenant = stores.jobReader.of(tenants[0]!);
  const before = await ofTenant.summarizeQueue();
  expect(before).toMatchObject({
    counts: { queued: many, processing: 0 },
    lanes: [{ ...waiting, lane: "lane-0" }, waiting],
  });
  expect(await stores.keeping.foldCounts(1)).toBe(1);
  expect(await ofTenant.summarizeQueue()).toEqual(before);
  while ((await stores.keeping.foldCounts(100)) > 0);
  expect(await ofTenant.summarizeQueue()).toEqual(before);
  expect((await stores.jobReader.summarizeQueue()).counts.queued).toBe(2 * many);
});

test("the counts follow jobs that move to another lane, and a lane without jobs leaves no count", async () => {
  await client.query("UPDATE jobs SET lane = 'lane-2' WHERE tenant_id = $1 AND lane = 'lane-1'", [
    tenants[1],
  ]);
  while ((await stores.keeping.foldCounts(5_000)) > 0);
  expect((await stores.jobReader.of(tenants[1]!).summarizeQueue()).lanes).toEqual([
    { ...waiting, lane: "lane-0" },
    { ...waiting, lane: "lane-2" },
  ]);
  const { rows } = await client.query(
    "SELECT lane FROM queued_job_counts WHERE tenant_id = $1 ORDER BY lane",
    [tenants[1]],
  );
  expect(rows).toEqual([{ lane: "lane-0" }, { lane: "lane-2" }]);
});

test("the counts read one waiting job of each tenant, for the time that it has waited", async () => {
  expect(await rowsRead(client, "jobs", queueStatement())).toBe(tenants.length);
  expect(await rowsRead(client, "jobs", queueStatement(tenants[0]))).toBe(1);
});

test("a page of a tenant's jobs reads no job of a tenant that has flooded later", async () => {
  const [early] = await stores.tenants.ensureTenants(["early"]);
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, rank, timeout_ms)
     SELECT ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, $1, 'image', i, 1000
     FROM generate_series(1, 60) i`,
    [early!.id],
  );
  await client.query("ANALYZE");
  for (const statuses of [undefined, ["queued" as const]]) {
    const page = listStatement(early!.id, { limit: 20, ...(statuses !== undefined && { statuses }) });
    expect(await rowsRead(client, "jobs", page!)).toBe(21);
  }
});

test.each([
  ["queued_job_changes", "tenant_id, lane, jobs", "$1, 'lane-0', CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END"],
  [
    "ended_job_changes",
    "tenant_id, status, jobs, bytes",
    "$1, 'completed', CASE WHEN i % 2 = 0 THEN 1 ELSE -1 END, 0",
  ],
])(
  "%s are added up although PostgreSQL believes that there is only one",
  async (table, columns, values) => {
    const insert = (count: number) =>
      client.query(`INSERT INTO ${table} (${columns}) SELECT ${values} FROM generate_series(1, ${count}) i`, [
        tenants[0],
      ]);
    while ((await stores.keeping.foldCounts(5_000)) > 0);
    // As where a vacuum finds one change in pages that it cannot give back, since others write to them.
    await client.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off, vacuum_truncate = off)`);
    await insert(20_000);
    await client.query(`DELETE FROM ${table} WHERE id < (SELECT max(id) FROM ${table})`);
    await client.query(`VACUUM ANALYZE ${table}`);
    await insert(20_000);
    expect(await stores.keeping.foldCounts(5_000)).toBe(5_000);
  },
  180_000,
);
