import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { buildJob } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { batchStatement } from "../src/jobs/reading/find-batches.ts";
import { chainStatement } from "../src/jobs/reading/list-chain.ts";
import { Prisma } from "../src/generated/client.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

test("a batch is counted without reading its waiting and ended jobs, however many they are", async () => {
  const tenantId = (await stores.tenants.defaultTenant()).id;
  const batchId = uuidv7();
  const jobs = Array.from({ length: 4_000 }, (_, batchIndex) => buildJob({ batchIndex }));
  await stores.jobRequests.insertJobs({ tenantId, batch: { id: batchId, name: null }, jobs });
  const half = jobs.slice(0, 2_000).map(({ id }) => id);
  await client.query(
    "UPDATE jobs SET status = 'cancelled', phase = NULL, finished_at = now() WHERE id = ANY($1)",
    [half],
  );
  while ((await stores.keeping.foldCounts(1_000)) > 0);
  await client.query("VACUUM ANALYZE jobs, batches, batch_job_counts, ended_job_changes");
  expect(await stores.jobReader.of(tenantId).findBatch(batchId)).toMatchObject({
    ...{ total: 4_000, percent: 50, counts: { queued: 2_000, processing: 0, cancelled: 2_000 } },
  });
  const statement = batchStatement(Prisma.sql`SELECT * FROM batches WHERE id = ${batchId}::uuid`);
  const { rows } = await client.query<{ "QUERY PLAN": { Plan: Record<string, number> }[] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement.text}`,
    statement.values,
  );
  const { Plan: plan } = rows[0]!["QUERY PLAN"][0]!;
  expect((plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0)).toBeLessThan(60);
});

test("a chain is read as far as it is shown, by indexes, however deep it is and however many others there are", async () => {
  const tenantId = (await stores.tenants.ensureTenants(["chains"]))[0]!.id;
  const [batchId, shown] = [uuidv7(), 300];
  // 20 chains of a thousand jobs each, of which one is a batch.
  await client.query(
    `CREATE TEMP TABLE linked AS SELECT gen_random_uuid() AS id, chain, i
     FROM generate_series(0, 19) chain, generate_series(1, 1000) i`,
  );
  await client.query("INSERT INTO batches (id, tenant_id, total) VALUES ($1, $2, 1000)", [batchId, tenantId]);
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, rank, timeout_ms, batch_id, batch_index)
     SELECT id, $1, 'image', i, 1000, CASE WHEN chain = 0 THEN $2::uuid END, CASE WHEN chain = 0 THEN i END FROM linked`,
    [tenantId, batchId],
  );
  await client.query(
    `INSERT INTO job_dependencies (job_id, needs_id)
     SELECT job.id, needed.id FROM linked job JOIN linked needed ON needed.chain = job.chain AND needed.i IN (job.i - 1, job.i - 2)`,
  );
  await client.query("VACUUM ANALYZE jobs, job_dependencies");
  const { rows } = await client.query<{ id: string }>("SELECT id FROM linked WHERE chain = 7 AND i = 500");
  for (const whose of [{ jobId: rows[0]!.id }, { batchId }]) {
    expect(await stores.jobReader.of(tenantId).listChain(whose, shown)).toHaveLength(shown);
    const statement = chainStatement(tenantId, whose, shown);
    expect(await rowsRead(client, "job_dependencies", statement)).toBeLessThan(20 * shown);
    expect(await rowsRead(client, "jobs", statement)).toBeLessThan(10 * shown);
  }
});
