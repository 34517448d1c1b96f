import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { untoldStatement } from "../src/door/untold-ends.ts";
import { rowsRead } from "./read-rows.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// The ends that clients are yet to be told are looked for every few seconds, among all prompts that are kept.

const many = 20_000;
const clients = 20;
let stores: TestStores;
let client: pg.Client;
let tenantId: string;

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  tenantId = (await stores.tenants.defaultTenant()).id;
  const [server] = await stores.servers.registerServers([{ url: "http://gpu:8188", slots: 1 }]);
  // Without triggers and checks of foreign keys, which take most of the time here.
  await client.query("SET session_replication_role = replica");
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, percent, rank, attempt, timeout_ms, finished_at, door)
     SELECT gen_random_uuid(), $1, 'workflow', 'completed', NULL, 100, i, 1, 1000, now(), true FROM generate_series(1, $2::int) i`,
    [tenantId, many],
  );
  await client.query(
    `INSERT INTO door_prompts (job_id, tenant_id, key_name, prompt_id, client_id, number, said_hash)
     SELECT id, tenant_id, 'key', id::text, 'client ' || (rank::int % $1::int), 1, '' FROM jobs`,
    [clients],
  );
  await client.query(
    `INSERT INTO door_ends (job_id, tenant_id, client_id, ended_at)
     SELECT job_id, tenant_id, client_id, now() - random() * interval '1 day' FROM door_prompts`,
  );
  await client.query(
    `INSERT INTO job_attempts (job_id, number, prompt_id, client_id, server_id, worker_id)
     SELECT id, 1, gen_random_uuid(), 'client', $1, 'worker' FROM jobs`,
    [server!.id],
  );
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

test.each([
  ["before statistics are there", 1, ""],
  ["of one client", 1, "ANALYZE"],
  ["of ten clients", 10, "ANALYZE"],
])("ends that are listed are found without reading others: %s", async (_said, asked, analyze) => {
  if (analyze !== "") await client.query("ANALYZE jobs, door_prompts, door_ends, job_attempts");
  const clientIds = Array.from({ length: asked }, (_unused, index) => `client ${index}`);
  const statement = untoldStatement(tenantId, { clientIds, heardJobIds: [], ofEachMax: 50 });
  const max = asked * 50;
  // Ends at the same moment are put in order, so one more may be read.
  for (const table of ["door_ends", "jobs", "job_attempts"])
    expect({ table, isShort: (await rowsRead(client, table, statement)) <= max + asked }).toEqual({
      table,
      isShort: true,
    });
});
