import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { buildJob } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { adoptionStatement, claimStatement } from "../src/jobs/running/claim-jobs.ts";
import { listWaitingStatement } from "../src/jobs/taking-back/list-waiting.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Claims and adoptions run all the time: neither may read a table from its begin to its end.

let stores: TestStores;
let client: pg.Client;
let serverId: string;
let jobIds: string[];

beforeAll(async () => {
  stores = await openTestStores();
  client = new pg.Client({ connectionString: stores.url });
  await client.connect();
  const tenantId = (await stores.tenants.defaultTenant()).id;
  const [server] = await stores.servers.registerServers([{ url: "http://gpu", slots: 4 }]);
  serverId = server!.id;
  const jobs = await stores.jobRequests.insertJobs({
    ...{ tenantId, batch: null },
    jobs: Array.from({ length: 4 }, () => buildJob()),
  });
  jobIds = jobs.map(({ id }) => id);
  await insertMany(tenantId, 10_000);
}, 180_000);
afterAll(async () => {
  await client.end();
  await stores.close();
});

/** Ended jobs, each with a graph, an attempt and secrets of its own, by one statement for each table. */
async function insertMany(tenantId: string, count: number): Promise<void> {
  await client.query(
    "CREATE TEMP TABLE many AS SELECT gen_random_uuid() AS id, i FROM generate_series(1, $1::int) i",
    [count],
  );
  await client.query(
    `INSERT INTO jobs (id, tenant_id, type, status, phase, rank, attempt, timeout_ms, finished_at, server_id)
     SELECT id, $1, 'image', 'cancelled', NULL, i, 1, 1000, now(), $2 FROM many`,
    [tenantId, serverId],
  );
  await client.query("INSERT INTO workflows (hash, graph) SELECT id::text, '{}' FROM many");
  await client.query(
    `INSERT INTO job_parameters (job_id, parameters, workflow_hash, uploads_noted)
     SELECT id, '{}', id::text, true FROM many`,
  );
  await client.query("INSERT INTO job_secrets (job_id, sealed) SELECT id, '\\x00' FROM many");
  await client.query(
    `INSERT INTO job_attempts (job_id, number, prompt_id, client_id, server_id, worker_id, lease_number, finished_at, outcome)
     SELECT id, 1, gen_random_uuid(), 'c', $1, 'w', 1, now(), 'cancelled' FROM many`,
    [serverId],
  );
  await client.query("ANALYZE");
}

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  Plans?: Plan[];
}

/** The large tables that PostgreSQL would read from begin to end for this statement. */
async function readWhole(statement: { text: string; values: unknown[] }): Promise<string[]> {
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (FORMAT JSON) ${statement.text}`,
    statement.values,
  );
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  const nodes = rows.flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan));
  const tables = ["jobs", "job_attempts", "job_parameters", "job_secrets", "workflows"];
  const named = nodes.flatMap((node) => node["Relation Name"] ?? []);
  expect(named).toEqual(expect.arrayContaining(["jobs"]));
  return nodes
    .filter((node) => node["Node Type"] === "Seq Scan")
    .flatMap((node) => node["Relation Name"] ?? [])
    .filter((table) => tables.includes(table));
}

test.each([null, 2])("a claim finds its jobs by indexes among many, with a limit of %p", async (limit) => {
  const claims = jobIds.map((jobId) => ({
    ...{ jobId, attempt: 1, ticketNumber: 0, serverId, promptId: uuidv7(), clientId: "c", workerId: "w" },
  }));
  expect(await readWhole(claimStatement(claims, 60_000, { jobsRunningMax: limit }))).toEqual([]);
});

test("an adoption finds the jobs of its servers by indexes among many", async () => {
  expect(await readWhole(adoptionStatement([serverId], "w", 60_000))).toEqual([]);
});

test.each([null, 2])(
  "waiting prompts are found among many jobs by indexes, with a limit of %p",
  async (limit) => {
    expect(await readWhole(listWaitingStatement(500, { jobsRunningMax: limit }))).toEqual([]);
  },
);
