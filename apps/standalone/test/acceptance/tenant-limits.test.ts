import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate, openDatabase, type Database } from "@genga/database";
import { noTenantLimitChoices } from "@genga/jobs";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";

const keys = {
  ...{ quiet: "quiet-key-0123456789", loud: "loud-key-0123456789", full: "full-key-0123456789" },
};
let scratch: TestDatabase;
let database: Database;
let stack: Stack;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  stack = await startStack({
    databaseUrl: scratch.url,
    ...{ simulators: 2, workers: 2, apis: 2 },
    env: {
      API_KEYS: `quiet:${keys.quiet},loud:${keys.loud},full:${keys.full}`,
      TENANT_JOBS_QUEUED_MAX: "1000",
    },
  });
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await database.close();
  await scratch.drop();
}, 180_000);

const by = { keyName: "an operator's", tenantId: null };
const client = (tenant: keyof typeof keys, api = 0): ApiClient =>
  new ApiClient(String(stack.apis[api]!.details["url"]), keys[tenant]);
const sleeping = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });
const choose = async (tenant: string, choices: Partial<typeof noTenantLimitChoices>): Promise<void> => {
  const found = await database.tenantLimits.findByName(tenant);
  await database.tenantLimits.saveChoices(found!.tenant.id, { ...noTenantLimitChoices, ...choices }, by);
};
/** The most jobs of a tenant that ever ran at once, by when they were claimed and when they ended. */
async function mostAtOnce(batchId: string): Promise<number> {
  const sql = new pg.Client({ connectionString: scratch.url });
  await sql.connect();
  try {
    const { rows } = await sql.query<{ claimed: Date; ended: Date }>(
      `SELECT claimed_at AS claimed, job_attempts.finished_at AS ended
      FROM job_attempts JOIN jobs ON jobs.id = job_id WHERE batch_id = $1`,
      [batchId],
    );
    return Math.max(
      ...rows.map(
        ({ claimed }) => rows.filter((run) => run.claimed <= claimed && run.ended > claimed).length,
      ),
    );
  } finally {
    await sql.end();
  }
}

test("a tenant's jobs beyond its limit wait without keeping others waiting, and each end starts the next", async () => {
  await choose("loud", { jobsRunningMax: 1 });
  const loud = await client("loud").submitBatch(Array.from({ length: 40 }, () => sleeping(0.05)));
  const held = await client("loud").submitBatch(Array.from({ length: 200 }, () => sleeping(0.05)));
  const quiet = await client("quiet").submitBatch(Array.from({ length: 20 }, () => sleeping(0.05)));
  await Promise.all(quiet.jobIds.map((id) => client("quiet").untilEnded(id)));
  // All of the loud tenant's were submitted before; behind its tickets this one's would have come last.
  expect((await client("loud").batch(loud.id)).counts["completed"]).toBeLessThan(40);
  // Between one job's end and the next one's begin the tenant has none running, for an instant.
  let waiting = "";
  for (let looks = 0; looks < 100 && !waiting.includes("tenant-limit"); looks += 1) {
    waiting = await (await client("loud").request("GET", `jobs/${held.jobIds[199]!}`)).text();
  }
  expect(JSON.parse(waiting)).toMatchObject({ status: "queued", waitingFor: { code: "tenant-limit" } });
  await Promise.all(loud.jobIds.map((id) => client("loud").untilEnded(id)));
  expect(await mostAtOnce(loud.id)).toBe(1);
  expect((await client("loud").batch(loud.id)).counts["completed"]).toBe(40);
  expect((await client("quiet").batch(quiet.id)).counts["completed"]).toBe(20);
  expect((await client("loud").batch(held.id)).counts["queued"]).toBeGreaterThan(150);
  await client("loud").request("POST", `batches/${held.id}/cancel`);
}, 180_000);

test("a queue that is full is answered with 429 by every process, naming the limit", async () => {
  await choose("full", { jobsQueuedMax: 10, jobsRunningMax: 0 });
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      client("full", index % 2).request("POST", "generate", sleeping(0.05)),
    ),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(10);
  expect(refused).toHaveLength(20);
  expect(Number(refused[0]!.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(await refused[0]!.json()).toMatchObject({
    code: "limit-reached",
    limit: { name: "jobs-queued", max: 10, used: 10, wanted: 1 },
  });
  expect((await client("quiet").request("POST", "generate", sleeping(0.05))).status).toBe(202);
  const batch = await client("full").request("POST", "batches", { jobs: [sleeping(0.05), sleeping(0.05)] });
  expect(await batch.json()).toMatchObject({ limit: { name: "jobs-queued", wanted: 2 } });
}, 180_000);
