import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { endsStatement } from "../src/keeping/count-ends.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let client: pg.Client;
let tenantId: string;
const jobs = 100_000;
const minuteMs = 60_000;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Jobs that end now: each fourth fails. */
async function endMany(count: number): Promise<void> {
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, rank, attempt, timeout_ms, finished_at, failure_class, failure_code, failure_message)
     SELECT gen_random_uuid(), $1, 'image', (CASE i % 4 WHEN 0 THEN 'failed' ELSE 'cancelled' END)::job_status, NULL, i, 1, 1000, now(),
       CASE i % 4 WHEN 0 THEN 'execution'::failure_class END, CASE i % 4 WHEN 0 THEN 'node-failed' END, CASE i % 4 WHEN 0 THEN 'It raised.' END
     FROM generate_series(1, $2::int) i`,
    [tenantId, count],
  );
}

async function counted(ofTenant?: string): Promise<Record<string, number>> {
  const since = new Date(Math.floor(Date.now() / minuteMs) * minuteMs - 60 * minuteMs);
  const reader = ofTenant === undefined ? stores.jobReader : stores.jobReader.of(ofTenant);
  const steps = await reader.countEnds(since, 5 * minuteMs);
  for (const { at } of steps) expect((at.getTime() - since.getTime()) % (5 * minuteMs)).toBe(0);
  const sum = (status: "completed" | "failed" | "cancelled"): number =>
    steps.reduce((all, step) => all + step[status], 0);
  return { completed: sum("completed"), failed: sum("failed"), cancelled: sum("cancelled") };
}

async function foldAll(): Promise<void> {
  while ((await stores.keeping.foldCounts(50_000)) > 0);
}

test("ends are counted by their minutes before and after they are added up, of each tenant and of all", async () => {
  await endMany(jobs);
  const expected = { completed: 0, failed: jobs / 4, cancelled: (jobs * 3) / 4 };
  expect(await counted(tenantId)).toEqual(expected);
  await foldAll();
  expect(await counted(tenantId)).toEqual(expected);
  await endMany(4);
  expect(await counted()).toEqual({ completed: 0, failed: jobs / 4 + 1, cancelled: (jobs * 3) / 4 + 3 });
  expect(await counted("01890000-0000-7000-8000-000000000000")).toEqual({
    completed: 0,
    failed: 0,
    cancelled: 0,
  });

  // A removed job stays counted; so does one that is queued again.
  await client.query(
    "DELETE FROM jobs WHERE status = 'failed' AND id IN (SELECT id FROM jobs WHERE status = 'failed' LIMIT 10)",
  );
  await foldAll();
  expect((await counted(tenantId))["failed"]).toBe(jobs / 4 + 1);
}, 300_000);

test("no job is read for it, however many there are", async () => {
  await client.query("ANALYZE");
  for (const ofTenant of [tenantId, undefined]) {
    const { text, values } = endsStatement(
      new Date(Date.now() - 48 * 60 * minuteMs),
      30 * minuteMs,
      ofTenant,
    );
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`EXPLAIN (ANALYZE) ${text}`, values);
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    expect(plan).not.toMatch(/ on jobs| on job_/);
    expect(plan).toMatch(/ on ended_job_minutes/);
  }
}, 180_000);

test("counts of ends are forgotten after their time", async () => {
  await client.query("UPDATE ended_job_minutes SET minute = minute - interval '3 days'");
  expect(await stores.keeping.forgetEndCounts(49 * 60 * minuteMs)).toBeGreaterThan(0);
  expect(await counted()).toEqual({ completed: 0, failed: 0, cancelled: 0 });
});
