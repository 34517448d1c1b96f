import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { askUntil } from "@genga/testing";
import pg from "pg";
import { openTestStores, type TestStores } from "./test-stores.ts";

// A client clears a history that has become long.

const many = 12_000;
let stores: TestStores;
let client: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
  // Without triggers and checks of foreign keys, which take most of the time here.
  await client.query("SET session_replication_role = replica");
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, percent, rank, attempt, timeout_ms, finished_at, door)
     SELECT gen_random_uuid(), $1, 'workflow', 'completed', NULL, 100, i, 1, 1000, now(), true FROM generate_series(1, $2::int) i`,
    [tenantId, many],
  );
  await client.query(
    `INSERT INTO door_prompts (job_id, tenant_id, key_name, prompt_id, number, said_hash)
     SELECT id, tenant_id, 'key', id::text, 1, '' FROM jobs`,
  );
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

const hidden = async (): Promise<number> =>
  Number(
    (await client.query<{ count: string }>("SELECT count(*) FROM door_prompts WHERE hidden")).rows[0]?.count,
  );

test("a long history is hidden part by part, so that no statement takes long", async () => {
  const holder = new pg.Client({ connectionString: stores.url });
  await holder.connect();
  try {
    await holder.query("BEGIN");
    await holder.query("SELECT FROM door_prompts ORDER BY job_id DESC LIMIT 1 FOR UPDATE");
    const hiding = stores.doorPrompts.hide(tenantId, "all");
    const { rows } = await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    const waiting = "SELECT FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))";
    await askUntil(
      () => client.query(waiting, [rows[0]!.pid]),
      ({ rowCount }) => rowCount !== 0,
    );
    expect(await hidden()).toBe(10_000);
    await holder.query("ROLLBACK");
    await hiding;
    expect(await hidden()).toBe(many);
  } finally {
    await holder.end();
  }
});
