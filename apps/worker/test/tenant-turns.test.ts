import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { ApiClient, sleepWorkflow } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// One server that can serve all lanes; they differ in the labels that their jobs require.

const keys = { flood: "a-long-enough-key-for-the-flood", other: "a-long-enough-key-for-the-other" };
const labels = Array.from({ length: 10 }, (_, index) => `pool:${index}`);
let stack: TestStack;
let client: pg.Client;

beforeAll(async () => {
  const apiKeys = Object.entries(keys).map(([tenant, key]) => `${tenant}:${key}`);
  stack = await startTestStack({ workers: 0, env: { API_KEYS: apiKeys.join(","), SERVER_SLOTS: "1" } });
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  await countAllJobsAlike();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stack.stop();
}, 180_000);

test("a tenant that spreads its flood over ten lanes gets as many turns as one with a single lane", async () => {
  const job = (requires: string[]) => ({
    ...{ type: "workflow", workflow: sleepWorkflow(0.05, { steps: 1 }), requires },
  });
  const flood = Array.from({ length: 60 }, (_, index) => job([labels[index % labels.length]!]));
  const [many, few] = [new ApiClient(stack.url, keys.flood), new ApiClient(stack.url, keys.other)];
  await many.submitBatch(flood);
  const { jobIds } = await few.submitBatch(Array.from({ length: 20 }, () => job([])));
  await untilAnnounced();
  const url = stack.simulators[0]!.url;
  await stack.startWorker({ SERVER_LABELS: `${url}=${labels.join()}` });
  for (const id of jobIds) expect((await few.untilEnded(id)).status).toBe("completed");
  const { rows } = await client.query<{ name: string; lane: string }>(
    `SELECT tenants.name, jobs.lane FROM job_attempts attempt JOIN jobs ON jobs.id = attempt.job_id
     JOIN tenants ON tenants.id = jobs.tenant_id ORDER BY attempt.claimed_at`,
  );
  const first = rows.slice(0, 30);
  const turns = first.filter(({ name }) => name === "other").length;
  expect(turns).toBeGreaterThanOrEqual(13);
  expect(turns).toBeLessThanOrEqual(17);
  expect(new Set(first.map(({ lane }) => lane)).size).toBe(11);
}, 180_000);

/** A tenant's turns depend on how long its jobs take, and on a busy machine some take longer than others. */
async function countAllJobsAlike(): Promise<void> {
  await client.query(`CREATE FUNCTION count_alike() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN new.run_ms = 50; RETURN new; END'`);
  for (const table of ["lanes", "tenant_runs"])
    await client.query(
      `CREATE TRIGGER count_alike BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION count_alike()`,
    );
}

/** A worker that begins while a batch has no tickets yet serves the other one first. */
async function untilAnnounced(): Promise<void> {
  for (;;) {
    const { rows } = await client.query("SELECT FROM jobs WHERE enqueued_at IS NULL");
    if (rows.length === 0) return;
    await sleep(50);
  }
}
