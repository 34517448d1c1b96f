import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { openDatabase } from "@genga/database";
import { type Job } from "@genga/jobs";
import { buildFailure, buildJob, buildLane } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { openTestStores, type TestStores } from "./test-stores.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
let stores: TestStores;
let client: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

const remove = (limit = 100): Promise<number> => stores.keeping.removeUnusedLanes(dayMs, limit);

/** A job that was accepted by a process of its own, so that no memory of lanes is shared. */
async function accept(lane: string): Promise<Job> {
  const other = openDatabase({ databaseUrl: stores.url });
  try {
    const jobs = [buildJob({ lane: buildLane(lane) })];
    const [job] = await other.jobRequests.insertJobs({ tenantId, batch: null, jobs });
    return job!;
  } finally {
    await other.close();
  }
}

async function failed(lane: string): Promise<Job> {
  const job = await accept(lane);
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: job.id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  const [lease] = await stores.jobRuns.claimJobs([{ ...claim, workerId: "w", clientId: "c" }], 60_000);
  await stores.jobRuns.endAttempt(lease!, { kind: "failed", failure: buildFailure() });
  return job;
}

const makeOld = (lane: string) =>
  client.query("UPDATE lanes SET last_used_at = now() - interval '25 hours' WHERE name = $1", [lane]);

async function left(table: "lanes" | "lane_clocks" | "tenant_queues" | "tenant_runs"): Promise<string[]> {
  const column = table === "lanes" ? "name" : "lane";
  const { rows } = await client.query<{ lane: string }>(
    `SELECT DISTINCT ${column} AS lane FROM ${table} ORDER BY 1`,
  );
  return rows.map(({ lane }) => lane);
}

test("lanes that no job was in for a day are removed with their clocks, queues and measured runs, a few at a time", async () => {
  for (const lane of ["old-1", "old-2", "paused", "fresh"])
    await stores.jobRequests.requestCancel((await accept(lane)).id);
  await accept("waits");
  await client.query(
    "INSERT INTO tenant_runs SELECT lanes.name, tenants.id, 1000, 1 FROM lanes CROSS JOIN tenants ON CONFLICT DO NOTHING",
  );
  for (const lane of ["old-1", "old-2", "paused", "waits"]) await makeOld(lane);
  await client.query("UPDATE lanes SET paused_at = now(), paused_by = 'operator' WHERE name = 'paused'");
  expect(await remove(1)).toBe(1);
  expect(await remove()).toBe(1);
  expect(await remove()).toBe(0);
  for (const table of ["lanes", "lane_clocks", "tenant_queues", "tenant_runs"] as const)
    expect(await left(table)).toEqual(["fresh", "paused", "waits"]);
});

test("a lane that runs a job stays", async () => {
  const job = await accept("runs");
  const [server] = await stores.servers.registerServers([{ url: `http://${uuidv7()}`, slots: 1 }]);
  const claim = { jobId: job.id, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
  await stores.jobRuns.claimJobs([{ ...claim, workerId: "w", clientId: "c" }], 60_000);
  await makeOld("runs");
  expect(await remove()).toBe(0);
});

test("a job whose lane was removed waits in the lane default when it is retried", async () => {
  const job = await failed("gone");
  await makeOld("gone");
  expect(await remove()).toBe(1);
  expect(await stores.jobRequests.retryJob(job.id)).toMatchObject({ status: "queued", lane: "default" });
});

test("a retry into a lane that is still there keeps it", async () => {
  const job = await failed("kept");
  await makeOld("kept");
  expect(await stores.jobRequests.retryJob(job.id)).toMatchObject({ lane: "kept" });
  await stores.jobRequests.requestCancel(job.id);
  expect(await remove()).toBe(0);
});

test("a lane that is used and removed at the same moments always has a row while jobs wait in it", async () => {
  const lanes = Array.from({ length: 6 }, (_, index) => `race-${index}`);
  const ended = await Promise.all(lanes.map((lane) => failed(lane)));
  for (const lane of lanes) await makeOld(lane);
  const [removed, accepted, retried] = await Promise.all([
    Promise.all([remove(), remove(2), remove(3)]),
    Promise.all(lanes.map((lane) => accept(lane))),
    Promise.all(ended.map(({ id }) => stores.jobRequests.retryJob(id))),
  ]);
  expect(removed.every((count) => count >= 0)).toBe(true);
  expect(accepted.map(({ lane }) => lane)).toEqual(lanes);
  for (const [index, job] of retried.entries())
    expect(job).toMatchObject({ lane: expect.stringMatching(`^(${lanes[index]!}|default)$`) });
  const { rows } = await client.query(
    `SELECT DISTINCT lane FROM jobs WHERE status = 'queued' AND lane <> 'default'
     EXCEPT SELECT name FROM lanes
     UNION ALL
     SELECT DISTINCT lane FROM jobs WHERE status = 'queued' EXCEPT SELECT lane FROM lane_clocks`,
  );
  expect(rows).toEqual([]);
});

test("a removal waits for nobody: a lane whose use is being noted stays", async () => {
  await stores.jobRequests.requestCancel((await accept("noted")).id);
  await makeOld("noted");
  await client.query("BEGIN");
  await client.query("UPDATE lanes SET last_used_at = now() WHERE name = 'noted'");
  expect(await remove()).toBe(0);
  await client.query("COMMIT");
  expect(await remove()).toBe(0);
  expect(await left("lanes")).toContain("noted");
});

test("a time in which a process may still remember the lane is refused", async () => {
  await expect(stores.keeping.removeUnusedLanes(hourMs, 1)).rejects.toThrow("may be in use");
});
