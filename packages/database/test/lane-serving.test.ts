import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDatabase, type Database } from "@genga/database";
import { type LaneFacts } from "@genga/jobs";
import { buildJob, buildLane } from "@genga/testing";
import { Client } from "pg";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let database: Database;
let client: Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  database = openDatabase({ databaseUrl: stores.url, applicationName: "lane-serving" });
  client = new Client({ connectionString: stores.url });
  await client.connect();
  const [tenant] = await stores.tenants.ensureTenants(["studio"]);
  tenantId = tenant!.id;
});

afterAll(async () => {
  await client.end();
  await database.close();
  await stores.close();
});

async function makeLanes(...names: string[]): Promise<void> {
  const jobs = names.map((name) => buildJob({ lane: { ...buildLane(name), mainModel: `model of ${name}` } }));
  await stores.jobRequests.insertJobs({ tenantId, batch: { id: uuidv7(), name: null }, jobs });
}

async function factsOf(name: string): Promise<LaneFacts> {
  const [facts] = await database.laneServing.readLanes([name]);
  if (facts === undefined) throw new Error(`There is no lane ${name}.`);
  return facts;
}

test("measurements become means in which recent ones weigh more", async () => {
  await makeLanes("measured", "other");
  expect(await factsOf("measured")).toEqual({
    ...{ name: "measured", mainModel: "model of measured", runMs: null, runs: 0, loadMs: null },
    ...{ lastServedAt: null, pausedAt: null, readAt: expect.any(Date) },
    clocks: { normal: { claimedRank: 0, base: 0, unitMs: null } },
  });
  const { laneServing } = database;
  await laneServing.addMeasures([
    { tenantId, lane: "measured", runs: 1, runMs: 1_000, loads: 1, loadMs: 8_000 },
  ]);
  expect(await factsOf("measured")).toMatchObject({ runMs: 1_000, loadMs: 8_000 });
  await laneServing.addMeasures([
    { tenantId, lane: "measured", runs: 1, runMs: 2_000, loads: 0, loadMs: 0 },
    { tenantId, lane: "other", runs: 3, runMs: 70, loads: 0, loadMs: 0 },
    { tenantId, lane: "unknown", runs: 1, runMs: 1, loads: 0, loadMs: 0 },
  ]);
  expect(await factsOf("measured")).toMatchObject({ runMs: 1_100, runs: 2, loadMs: 8_000 });
  expect(await factsOf("other")).toMatchObject({ runMs: 70, loadMs: null });
  await laneServing.addMeasures([
    { tenantId, lane: "measured", runs: 200, runMs: 500, loads: 200, loadMs: 90 },
  ]);
  const facts = await factsOf("measured");
  expect(facts.runMs).toBeCloseTo(500, 1);
  expect(facts.loadMs).toBeCloseTo(90, 1);
  const { rows } = await client.query(
    "SELECT name, runs FROM lanes WHERE name IN ('measured', 'other') ORDER BY 1",
  );
  expect(rows).toEqual([
    { name: "measured", runs: 202 },
    { name: "other", runs: 3 },
  ]);
});

test("each tenant's runs in a lane have a mean of their own", async () => {
  await makeLanes("shared");
  const [other] = await stores.tenants.ensureTenants(["another-studio"]);
  const measure = { lane: "shared", tenantId, runs: 6, runMs: 1_000, loads: 1, loadMs: 500 };
  await database.laneServing.addMeasures([
    measure,
    { ...measure, tenantId: other!.id, runs: 3, runMs: 7_000, loads: 3, loadMs: 900 },
  ]);
  expect(await factsOf("shared")).toMatchObject({
    ...{ runMs: 3_000, runs: 9, loadMs: 800 },
    clocks: { normal: { unitMs: 3_000 } },
  });
  await database.laneServing.addMeasures([
    { ...measure, runs: 1, runMs: 2_000, loads: 0 },
    { ...measure, tenantId: other!.id, runs: 0, loads: 1 },
  ]);
  const { rows } = await client.query(
    "SELECT tenant_id, run_ms, runs FROM tenant_runs WHERE lane = 'shared' ORDER BY runs DESC",
  );
  expect(rows).toEqual([
    { tenant_id: tenantId, run_ms: 1_100, runs: 7 },
    { tenant_id: other!.id, run_ms: 7_000, runs: 3 },
  ]);
  expect(await factsOf("shared")).toMatchObject({ clocks: { normal: { unitMs: 3_000 } } });
});

test("a lane without a measured load goes by the lanes of the same model", async () => {
  await makeLanes("one", "two", "three");
  await client.query("UPDATE lanes SET main_model = 'shared' WHERE name IN ('one', 'two')");
  await database.laneServing.addMeasures([
    { tenantId, lane: "one", runs: 0, runMs: 0, loads: 1, loadMs: 3_000 },
  ]);
  expect(await factsOf("two")).toMatchObject({ runMs: null, loadMs: 3_000 });
  expect(await factsOf("three")).toMatchObject({ loadMs: null });
});

test("of many servers that leave for a lane at the same time, one goes", async () => {
  await makeLanes("overdue");
  const { laneServing } = database;
  const { lastServedAt } = await factsOf("overdue");
  const won = await Promise.all(
    Array.from({ length: 10 }, () => laneServing.claimLane("overdue", lastServedAt)),
  );
  expect(won.filter(Boolean)).toHaveLength(1);
  const served = await factsOf("overdue");
  expect(served.lastServedAt).not.toBeNull();
  expect(await laneServing.claimLane("overdue", served.lastServedAt)).toEqual(expect.any(Date));
  expect(await laneServing.claimLane("no such lane", null)).toBeNull();
});

test("of many servers that leave for the lane default at the same time, one goes, too", async () => {
  const { laneServing } = database;
  expect(await factsOf("default")).toMatchObject({ mainModel: null, runMs: null, lastServedAt: null });
  const won = await Promise.all(Array.from({ length: 10 }, () => laneServing.claimLane("default", null)));
  expect(won.filter(Boolean)).toHaveLength(1);
  const served = await factsOf("default");
  expect(await laneServing.claimLane("default", null)).toBeNull();
  expect(await laneServing.claimLane("default", served.lastServedAt)).toEqual(expect.any(Date));
});

test.each(["overdue", "default"])(
  "a server that can run no job of the lane %s leaves it to the next one, unless it was served meanwhile",
  async (name) => {
    if (name !== "default") await makeLanes(name);
    const { laneServing } = database;
    const { lastServedAt } = await factsOf(name);
    const claimedAt = await laneServing.claimLane(name, lastServedAt);
    await laneServing.giveUpLane(name, claimedAt!, lastServedAt);
    expect(await factsOf(name)).toMatchObject({ lastServedAt });
    const claimedAgainAt = await laneServing.claimLane(name, lastServedAt);
    const servedAt = await laneServing.claimLane(name, claimedAgainAt);
    expect(servedAt).not.toBeNull();
    if (servedAt?.getTime() === claimedAgainAt?.getTime()) return;
    await laneServing.giveUpLane(name, claimedAgainAt!, lastServedAt);
    expect(await factsOf(name)).toMatchObject({ lastServedAt: servedAt });
  },
);

test("lanes that are served are noted together", async () => {
  await makeLanes("b", "a");
  await database.laneServing.noteServed(["b", "default", "a"]);
  const lanes = await database.laneServing.readLanes(["a", "b", "default"]);
  expect(lanes.map(({ name }) => name)).toEqual(["a", "b", "default"]);
  expect(lanes.every(({ lastServedAt }) => lastServedAt !== null)).toBe(true);
});

test("a lane whose runs take no time any more has a mean of nothing at last, and its clock is judged by it", async () => {
  await makeLanes("idle");
  const { laneServing } = database;
  const measure = { lane: "idle", tenantId, runMs: 0, loads: 0, loadMs: 0 };
  await laneServing.addMeasures([{ ...measure, runs: 1, runMs: 1_000 }]);
  for (let flush = 0; flush < 30; flush += 1) {
    await laneServing.addMeasures([{ ...measure, runs: 40 }]);
    await database.jobAnnouncer.forgetIdleRanks();
  }
  expect(await factsOf("idle")).toMatchObject({ runMs: 0, runs: 1_201 });
});
