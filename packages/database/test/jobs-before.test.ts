import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { buildJob, buildLane } from "@genga/testing";
import { jobsBeforeStatement } from "../src/jobs/reading/jobs-before.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Two tenants have 20,000 jobs each in one lane. What comes before a job is counted up to 1,000, at the same cost.

const many = 20_000;
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
      `INSERT INTO jobs (id, tenant_id, type, lane, rank, timeout_ms, paused_at)
       SELECT gen_random_uuid(), $1, 'image', 'sdxl', i, 1000, CASE WHEN i <= 3 THEN now() END
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

const atRank = (rank: number) => ({ lane: "sdxl", priority: "normal" as const, agedBands: 0, rank });

async function before(tenantId: string | undefined, rank: number) {
  const [job] = await stores.jobRequests.insertJobs({
    ...{ tenantId: tenantId!, batch: null },
    jobs: [buildJob({ lane: buildLane("elsewhere") })],
  });
  // Another job stands for one with the rank.
  return await stores.jobReader.of(tenantId!).countJobsBefore({ ...job!, ...atRank(rank) });
}

test("counts are exact up to 1,000, and leave out jobs that must wait for something else", async () => {
  expect(await before(tenants[0], 11)).toEqual({ own: 7, others: 7, isMore: { own: false, all: false } });
});

test("beyond that they say that there are more", async () => {
  expect(await before(tenants[0], 900)).toEqual({ own: 896, others: 99, isMore: { own: false, all: true } });
  expect(await before(tenants[0], many)).toEqual({ own: 998, others: 0, isMore: { own: true, all: true } });
});

interface Plan {
  "Node Type": string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Rows Removed by Index Recheck"?: number;
  Plans?: Plan[];
}

test.each([1_000, many])("at rank %p no more rows are read than are counted", async (rank) => {
  const { text, values } = jobsBeforeStatement(tenants[0]!, atRank(rank));
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
    values,
  );
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  const nodes = rows.flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan));
  const scans = nodes.filter(
    (node) => node["Node Type"].endsWith(" Scan") && node["Node Type"] !== "Subquery Scan",
  );
  expect(scans).toHaveLength(3);
  for (const scan of scans) {
    const removed = (scan["Rows Removed by Filter"] ?? 0) + (scan["Rows Removed by Index Recheck"] ?? 0);
    expect(scan["Actual Rows"] * scan["Actual Loops"] + removed).toBeLessThanOrEqual(1_001);
  }
});

test("jobs that have aged count in the band that they stand in, and so does the job itself", async () => {
  // Two low jobs of each tenant stand at the ranks 5 and 20 of the band normal; another one has not aged.
  for (const tenantId of tenants) {
    await client.query(
      `INSERT INTO jobs (id, tenant_id, type, lane, priority, rank, timeout_ms, aged)
       SELECT gen_random_uuid(), $1, 'image', 'sdxl', 'low', rank, 1000, aged
       FROM unnest(ARRAY[5, 20, 1], ARRAY[1, 1, 0]::smallint[]) AS new(rank, aged)`,
      [tenantId],
    );
  }
  const isMore = { own: false, all: false };
  expect(await before(tenants[0], 11)).toEqual({ own: 8, others: 8, isMore });
  expect(await before(tenants[0], 31)).toEqual({ own: 29, others: 29, isMore });
  const [job] = await stores.jobRequests.insertJobs({
    ...{ tenantId: tenants[0]!, batch: null },
    jobs: [buildJob({ lane: buildLane("elsewhere") })],
  });
  const aged = { ...job!, lane: "sdxl", priority: "low" as const, agedBands: 1, rank: 11 };
  expect(await stores.jobReader.of(tenants[0]!).countJobsBefore(aged)).toEqual({ own: 8, others: 8, isMore });
  // In the band high nothing is before it.
  const higher = { ...aged, agedBands: 2 };
  expect(await stores.jobReader.of(tenants[0]!).countJobsBefore(higher)).toEqual({
    own: 0,
    others: 0,
    isMore,
  });
});
