import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { StoreUnavailableError } from "@genga/jobs";
import { buildJob, buildOutput } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { createConnection, plansById } from "../src/connection/connection.ts";
import { mapDatabaseError } from "../src/connection/database-errors.ts";
import { Prisma } from "../src/generated/client.ts";
import { lockStatement } from "../src/jobs/dependencies/pass-on-ends.ts";
import { claimStatement } from "../src/jobs/running/claim-jobs.ts";
import { endLeases } from "../src/jobs/running/end-statement.ts";
import { progressStatement } from "../src/jobs/running/hold-leases.ts";
import { candidatesStatement } from "../src/jobs/running/read-candidates.ts";
import { openTestStores, type TestStores } from "./test-stores.ts";

// Prepared statements are planned once, while their tables may be almost empty, and must not read whole tables later.

let stores: TestStores;
let client: pg.Client;
let jobId: string;

beforeAll(async () => {
  stores = await openTestStores();
  const url = new URL(stores.url);
  url.searchParams.set("options", plansById.map((setting) => `-c ${setting}`).join(" "));
  client = new pg.Client({ connectionString: url.href });
  await client.connect();
  const tenantId = (await stores.tenants.defaultTenant()).id;
  const [server] = await stores.servers.registerServers([{ url: "http://gpu", slots: 1 }]);
  for (const prompt of ["one", "another"]) {
    const [job] = await stores.jobRequests.insertJobs({
      tenantId,
      batch: { id: uuidv7(), name: null },
      jobs: [buildJob({ prompt, batchIndex: 0 })],
    });
    jobId = job!.id;
    const claim = { jobId, attempt: 1, ticketNumber: 0, serverId: server!.id, promptId: uuidv7() };
    await stores.jobRuns.claimJobs([{ ...claim, clientId: "c", workerId: "w" }], 60_000);
  }
  await client.query("VACUUM ANALYZE");
});
afterAll(async () => {
  await client.end();
  await stores.close();
});

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Index Cond"?: string;
  Plans?: Plan[];
}

/** Each job has rows in these; there are few rows in others, such as lanes. */
const tablesOfJobs = [
  "jobs",
  "job_attempts",
  "job_parameters",
  "workflows",
  "job_events",
  "outputs",
  "job_inputs",
  "job_dependencies",
];
/** Running jobs are counted by it; servers have few slots. */
const runningJobs = "jobs_processing_idx";

/** Those of the tables that the statement reads without an index condition, as it is planned for any parameters. */
async function readWhole({ text }: Prisma.Sql): Promise<string[]> {
  const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
    `EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`,
  );
  const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  const scans = rows
    .flatMap((row) => nodesOf(row["QUERY PLAN"][0].Plan))
    .filter((node) => node["Node Type"].includes("Scan") && node["Relation Name"] !== undefined);
  expect(scans.map((node) => node["Relation Name"])).toContain("jobs");
  return scans
    .filter((node) => node["Index Cond"] === undefined && node["Index Name"] !== runningJobs)
    .flatMap((node) => node["Relation Name"] ?? [])
    .filter((table) => tablesOfJobs.includes(table));
}

const lease = () => ({ jobId, attempt: 1, leaseNumber: 1 });

test("an end finds its rows by their ids", async () => {
  const ends = [{ lease: lease(), end: { kind: "completed" as const, outputs: [buildOutput()] } }];
  expect(
    await readWhole(endLeases(ends, { condition: Prisma.sql`NOT job.has_dependents`, locked: "skip" })),
  ).toEqual([]);
});

test("jobs that wait for completed ones are found by their ids", async () => {
  expect(await readWhole(lockStatement([jobId]))).toEqual([]);
});

test("progress finds its rows by their ids", async () => {
  const progress = {
    percent: 1,
    node: null,
    nodeTitle: null,
    step: null,
    steps: null,
    nodesDone: null,
    nodesTotal: null,
    remainingLowMs: null,
    remainingHighMs: null,
  };
  expect(await readWhole(progressStatement([{ ...lease(), phase: "executing", progress }]))).toEqual([]);
});

test("candidates are found by their ids", async () => {
  const tickets = [{ jobId, attempt: 1, ticketNumber: 0 }];
  expect(await readWhole(candidatesStatement(tickets, { jobsRunningMax: null }))).toEqual([]);
});

test("a claim finds its rows by their ids", async () => {
  const who = { serverId: uuidv7(), workerId: "w", clientId: "c", promptId: uuidv7() };
  const claims = [{ jobId, attempt: 1, ticketNumber: 0, ...who }];
  expect(await readWhole(claimStatement(claims, 60_000, { jobsRunningMax: null }))).toEqual([]);
});

test("a statement whose result a migration has changed is refused for now, and then prepared anew", async () => {
  const connection = createConnection({ databaseUrl: stores.url, poolMax: 1 });
  try {
    await client.query("CREATE TABLE migrated (id int); INSERT INTO migrated VALUES (7)");
    const read = () =>
      connection.statements.$queryPrepared("read-migrated", Prisma.sql`SELECT id FROM migrated`);
    expect(await read()).toEqual([{ id: 7 }]);
    await client.query("ALTER TABLE migrated ALTER COLUMN id TYPE text");
    const error: unknown = await read().catch((reason: unknown) => mapDatabaseError(reason));
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ fault: "busy", wasRefused: true });
    expect(await read()).toEqual([{ id: "7" }]);
  } finally {
    await connection.close();
    await client.query("DROP TABLE migrated");
  }
});
