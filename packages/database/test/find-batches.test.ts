import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { buildJob } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { batchStatement } from "../src/jobs/reading/find-batches.ts";
import { Prisma } from "../src/generated/client.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
}, 60_000);
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
