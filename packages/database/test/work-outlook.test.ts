import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDatabase, type Database } from "@genga/database";
import { buildJob, buildLane } from "@genga/testing";
import { type Job } from "@genga/jobs";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { beforeStatement } from "../src/jobs/outlook/find-before.ts";
import { lastWaitingStatement } from "../src/jobs/outlook/prisma-work-outlook.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Two tenants with 20,000 and 5,000 jobs in one lane, and a few in another lane of the same model.

const [many, fewer] = [20_000, 5_000];
let stores: TestStores;
let database: Database;
let client: pg.Client;
let flood: string;
let other: string;
let batchId: string;

beforeAll(async () => {
  stores = await openTestStores();
  database = openDatabase({ databaseUrl: stores.url });
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  [flood, other] = (await stores.tenants.ensureTenants(["flood", "other"])).map(({ id }) => id) as [
    string,
    string,
  ];
  const laneNamed = (name: string, mainModel: string) => ({ ...buildLane(name), mainModel });
  batchId = uuidv7();
  await stores.jobRequests.insertJobs({
    ...{ tenantId: flood, batch: { id: batchId, name: null } },
    jobs: ["wide", "wide", "alike", "elsewhere"].map((name, batchIndex) =>
      buildJob({ batchIndex, lane: laneNamed(name, name === "elsewhere" ? "b" : "a") }),
    ),
  });
  for (const [tenantId, count] of [
    [flood, many],
    [other, fewer],
  ] as const)
    await client.query(
      `INSERT INTO jobs (id, tenant_id, type, lane, rank, timeout_ms)
       SELECT gen_random_uuid(), $1, 'image', 'wide', 1600 + i, 1000 FROM generate_series(1, $2::int) i`,
      [tenantId, count],
    );
  await client.query("DELETE FROM tenant_queues; DELETE FROM lane_clocks");
  await client.query(
    "INSERT INTO lane_clocks (lane, priority, claimed_rank, unit_ms) VALUES ('wide', 'normal', 1600, 2000)",
  );
  await client.query(
    `INSERT INTO tenant_queues (tenant_id, priority, lane, last_rank, begun_rank, backlog_units)
     VALUES ($1, 'normal', 'wide', 1600 + $3::int, 0, 0), ($2, 'normal', 'wide', 1600 + $4::int, 0, 0)`,
    [flood, other, many, fewer],
  );
  await client.query("ANALYZE");
}, 180_000);
afterAll(async () => {
  await client.end();
  await database.close();
  await stores.close();
});

async function jobAt(tenantId: string, rank: number, changes: Partial<Job> = {}): Promise<Job> {
  const [first] = (await stores.jobReader.of(flood).listBatchJobs(batchId)).slice(-1);
  return { ...first!, tenantId, id: uuidv7(), lane: "wide", rank, ...changes };
}

test("nothing is known of what stands before a job until runs were measured", async () => {
  await client.query("UPDATE lane_clocks SET unit_ms = NULL");
  const before = await database.workOutlook.findBefore(await jobAt(flood, 9_000), { byRanks: true });
  expect(before).toEqual({ ownRunMs: null, laneRunMs: null, alikeMs: 0, rankedMs: null });
  expect(await database.workOutlook.listWaiting()).toContainEqual(
    expect.objectContaining({ lane: "wide", mainModel: "a", jobs: many + fewer + 2, ms: null }),
  );
  await client.query("UPDATE lane_clocks SET unit_ms = 2000");
});

test("ranks tell the GPU time before a job, of each tenant no more than its jobs take", async () => {
  const { laneServing, workOutlook } = database;
  const nothing = { loads: 0, loadMs: 0 };
  await laneServing.addMeasures([{ tenantId: other, lane: "wide", runs: 1, runMs: 100, ...nothing }]);
  await laneServing.addMeasures([{ tenantId: flood, lane: "alike", runs: 1, runMs: 700, ...nothing }]);
  // A sixteenth of 2 s for each rank, so 8,000 ranks are 1,000 s: of the tenant `other` it is all that it has.
  const near = await workOutlook.findBefore(await jobAt(flood, 1_600 + 800), { byRanks: true });
  expect(near).toMatchObject({ ownRunMs: 100, laneRunMs: 100, rankedMs: 2 * 100_000 });
  const far = await workOutlook.findBefore(await jobAt(flood, 1_600 + 8_000), { byRanks: true });
  expect(far.rankedMs).toBe(1_000_000 + fewer * 100);
  expect((await workOutlook.findBefore(await jobAt(flood, 9), { byRanks: false })).rankedMs).toBeNull();
  // The other lane of the model has an earlier job of the tenant; of another tenant it has none.
  expect([
    near.alikeMs,
    (await workOutlook.findBefore(await jobAt(other, 9), { byRanks: false })).alikeMs,
  ]).toEqual([...[700, 0]]);
  const early = await jobAt(flood, 9, { id: "00000000-0000-7000-8000-000000000000" });
  expect((await workOutlook.findBefore(early, { byRanks: false })).alikeMs).toBe(0);
});

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  Plans?: Plan[];
}

async function rowsReadOfJobs({ text, values }: { text: string; values: unknown[] }): Promise<number> {
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
    values,
  );
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  return rows
    .flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan))
    .filter((node) => node["Relation Name"] === "jobs")
    .reduce(
      (sum, node) =>
        sum + (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"],
      0,
    );
}

test("what is read does not grow with the jobs that wait", async () => {
  const inAlike = await jobAt(flood, 20_000, { lane: "alike" });
  expect(await rowsReadOfJobs(beforeStatement(inAlike, { byRanks: true }))).toBeLessThanOrEqual(200);
  await client.query(
    "UPDATE jobs SET batch_id = $1, batch_index = 100 + rank WHERE tenant_id = $2 AND lane = 'wide' AND rank > 1600",
    [...[batchId, flood]],
  );
  await client.query("ANALYZE jobs");
  expect(await rowsReadOfJobs(lastWaitingStatement(flood, batchId))).toBeLessThanOrEqual(2_000);
});

test("the last job of a batch is one that could run, and of the batch's own tenant", async () => {
  const { workOutlook } = database;
  const last = await workOutlook.findLastWaiting(flood, batchId);
  expect(last).toMatchObject({ batchIndex: 100 + 1_600 + many, lane: "wide" });
  await client.query("UPDATE jobs SET paused_at = now() WHERE id = $1", [last!.id]);
  expect((await workOutlook.findLastWaiting(flood, batchId))?.batchIndex).toBe(last!.batchIndex! - 1);
  expect(await workOutlook.findLastWaiting(other, batchId)).toBeNull();
});
