import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { unannouncedOfLimited, unannouncedOfOthers } from "../src/jobs/announcing/list-unannounced.ts";
import { sweeperWorkStatement } from "../src/jobs/running/find-sweeper-work.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Each second the sweeper looks for ready jobs without a ticket. Tens of thousands of jobs that wait, or that may have no
// ticket yet, must not be read for that.

const many = 10_000;
const noLimit = { jobsRunningMax: null };
let stores: TestStores;
let client: pg.Client;
let ids: Record<string, string>;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const tenants = await stores.tenants.ensureTenants(["flood", "limited", "small"]);
  ids = Object.fromEntries(tenants.map(({ name, id }) => [name, id]));
  await client.query("INSERT INTO tenant_limits (tenant_id, jobs_running_max) VALUES ($1, 2)", [
    ids["limited"],
  ]);
  await insert("flood", many, { enqueued_at: "now()" });
  await insert("limited", many, {});
  await insert("limited", many, { run_at: "now() + interval '1 day'" });
  await insert("limited", many, { paused_at: "now()" });
  await insert("small", 3, {});
  await client.query("ANALYZE");
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Jobs of the tenant in two lanes, with these values of columns. */
async function insert(tenant: string, count: number, columns: Record<string, string>): Promise<void> {
  const names = Object.keys(columns).map((name) => `, ${name}`);
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, lane, rank, timeout_ms${names.join("")})
     SELECT gen_random_uuid(), $1, 'image', 'lane-' || i % 2, i, 1000${Object.values(columns)
       .map((value) => `, ${value}`)
       .join("")}
     FROM generate_series(1, $2::int) i`,
    [ids[tenant], count],
  );
}

const announce = async (): Promise<number> => {
  const found = await stores.jobAnnouncer.listUnannounced(1_000);
  await stores.jobAnnouncer.markEnqueued(found);
  return found.length;
};

test("jobs that may have no ticket yet are not read, and the others are found among them", async () => {
  expect(await rowsRead(client, "jobs", unannouncedOfOthers(1_000))).toBeLessThan(30);
  expect(await rowsRead(client, "jobs", unannouncedOfLimited(1_000, noLimit))).toBeLessThan(30);
  // Two of each lane of the limited tenant, and all of the small one.
  expect(await announce()).toBe(7);
  expect(await announce()).toBe(0);
  expect(await rowsRead(client, "jobs", unannouncedOfOthers(1_000))).toBeLessThan(30);
  expect(await rowsRead(client, "jobs", unannouncedOfLimited(1_000, noLimit))).toBeLessThan(30);
});

test("whether the sweeper has work is found among them without reading them", async () => {
  expect(await rowsRead(client, "jobs", sweeperWorkStatement(1_000))).toBeLessThan(30);
  const idle = { hasAbandoned: false, hasExpired: false, hasEnds: false };
  const work = { ...idle, hasGuessedLanes: false, hasReady: true, hasRepricing: false };
  // What waits for its tenant's limit is ready.
  expect(await stores.jobRuns.findSweeperWork(1_000)).toEqual(work);
  await client.query("BEGIN");
  try {
    await client.query("SET LOCAL session_replication_role = replica");
    await client.query("DELETE FROM jobs WHERE enqueued_at IS NULL AND run_at IS NULL AND paused_at IS NULL");
    const { text, values } = sweeperWorkStatement(1_000);
    expect((await client.query(text, values)).rows).toEqual([{ ...work, hasReady: false }]);
    await client.query(
      `UPDATE jobs SET run_at = now() - interval '1 second' WHERE id = (SELECT id FROM jobs WHERE run_at > now() LIMIT 1)`,
    );
    expect((await client.query(text, values)).rows).toEqual([work]);
  } finally {
    await client.query("ROLLBACK");
  }
});

test("a tenant's flood leaves places for the tickets of others", async () => {
  await insert("flood", 2_000, {});
  await insert("small", 2, {});
  const found = await stores.jobAnnouncer.listUnannounced(100);
  expect(found.length).toBeLessThanOrEqual(100);
  const { rows } = await client.query("SELECT DISTINCT tenant_id FROM jobs WHERE id = ANY($1)", [
    found.map(({ jobId }) => jobId),
  ]);
  expect(rows).toHaveLength(2);
  let announced = 0;
  for (let count = await announce(); count > 0; count = await announce()) announced += count;
  expect(announced).toBe(2_002);
});

test("jobs whose time has come are found, those of a limited tenant as far as it has places", async () => {
  await client.query(
    `UPDATE jobs SET enqueued_at = NULL, run_at = now() - i.place * interval '1 second'
     FROM (SELECT id, row_number() OVER (PARTITION BY tenant_id ORDER BY id) AS place FROM jobs
       WHERE enqueued_at IS NOT NULL) i WHERE jobs.id = i.id AND (place <= 5 OR tenant_id = $1)`,
    [ids["limited"]],
  );
  const found = await stores.jobAnnouncer.listUnannounced(1_000);
  const { rows } = await client.query(
    `SELECT tenants.name, count(*)::int AS jobs FROM jobs JOIN tenants ON tenants.id = tenant_id
     WHERE jobs.id = ANY($1) GROUP BY tenants.name ORDER BY tenants.name`,
    [found.map(({ jobId }) => jobId)],
  );
  expect(rows).toEqual([
    { name: "flood", jobs: 5 },
    { name: "limited", jobs: 4 },
    { name: "small", jobs: 5 },
  ]);
});
