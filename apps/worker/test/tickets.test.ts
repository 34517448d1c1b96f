import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import pg from "pg";
import { type ApiClient, sleepWorkflow, testServiceUrl } from "@genga/testing";
import { waitingFor } from "./support/locks.ts";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

let stack: TestStack;
let api: ApiClient;
let client: pg.Client;
let redis: Redis;

beforeAll(async () => {
  stack = await startTestStack({ workers: 0, env: { SERVER_SLOTS: "2" } });
  ({ api } = stack);
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  redis = new Redis(testServiceUrl("TEST_REDIS_URL"));
}, 180_000);
afterEach(async () => {
  await client.query("ROLLBACK");
  for (const worker of stack.workers.splice(0)) await worker.stop();
});
afterAll(async () => {
  await redis.quit();
  await client.end();
  await stack.stop();
}, 180_000);

// Tickets of jobs that were accepted before there was a worker are taken together, as many as there are slots.
const job = (): object => ({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) });

/** The keys of the lane in which the job waits begin with this. */
async function laneOf(jobId: string | undefined): Promise<string> {
  const { rows } = await client.query<{ lane: string }>("SELECT lane FROM jobs WHERE id = $1", [jobId]);
  return `${stack.env["REDIS_PREFIX"]}:${rows[0]!.lane}`;
}

/** How many tickets of the lane some worker holds, and how many are put off. */
async function ticketCounts(lane: string): Promise<{ active: number; delayed: number }> {
  return { active: await redis.llen(`${lane}:active`), delayed: await redis.zcard(`${lane}:delayed`) };
}

test("a ticket that was taken together with one of an odd row is used, and the odd one's is given back", async () => {
  const { jobIds } = await api.submitBatch([job(), job()]);
  const ofFirst = "hash = (SELECT workflow_hash FROM job_parameters WHERE job_id = $1)";
  const { rows } = await client.query<{ graph: string }>(
    `SELECT graph::text AS graph FROM workflows WHERE ${ofFirst}`,
    [jobIds[0]],
  );
  await client.query(`UPDATE workflows SET graph = '[]' WHERE ${ofFirst}`, [jobIds[0]]);
  const worker = await stack.startWorker();
  expect(await api.untilEnded(jobIds[1]!)).toMatchObject({ status: "completed", attempt: 1 });
  await worker.line(new RegExp(`"jobId":"${jobIds[0]!}".*a job could not be placed`));
  const { rows: odd } = await client.query("SELECT status, attempt FROM jobs WHERE id = $1", [jobIds[0]]);
  expect(odd).toEqual([{ status: "queued", attempt: 0 }]);
  await client.query(`UPDATE workflows SET graph = $2 WHERE ${ofFirst}`, [jobIds[0], rows[0]!.graph]);
  expect(await api.untilEnded(jobIds[0]!)).toMatchObject({ status: "completed", attempt: 1 });
}, 180_000);

test("tickets whose rows could not be read are given back, and their jobs run once they can be", async () => {
  const { jobIds } = await api.submitBatch([job(), job()]);
  const lane = await laneOf(jobIds[0]);
  await client.query("BEGIN");
  await client.query("LOCK TABLE workflows IN ACCESS EXCLUSIVE MODE");
  await stack.startWorker();
  while ((await ticketCounts(lane)).active < 2) await sleep(20);
  // Whatever reads graphs just now fails, the look at the rows of the tickets as well. Tickets that are given back are put
  // off for a moment; one that is kept stays active until its lock has run out, and is never put off.
  while ((await ticketCounts(lane)).delayed < 2) {
    for (const reading of await waitingFor(client, "workflows"))
      await client.query("SELECT pg_cancel_backend($1)", [reading]);
    await sleep(20);
  }
  await client.query("ROLLBACK");
  for (const id of jobIds)
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
}, 180_000);

test("stale tickets, and those of jobs that must wait, are dropped; the jobs get others when they are ready", async () => {
  const { jobIds } = await api.submitBatch([job(), job()]);
  const lane = await laneOf(jobIds[0]);
  while ((await redis.zcard(`${lane}:prioritized`)) < 2) await sleep(20);
  // The ticket of the first was taken back while its row must wait; that of the second was added to a row that must wait.
  const wait = "run_at = now() + interval '1 hour', enqueued_at = NULL";
  await client.query(`UPDATE jobs SET ${wait}, ticket_number = 1 WHERE id = $1`, [jobIds[0]]);
  await client.query(`UPDATE jobs SET ${wait} WHERE id = $1`, [jobIds[1]]);
  await stack.startWorker();
  const dropped = async (): Promise<(string | null)[]> =>
    await Promise.all(jobIds.map((id) => redis.hget(`${lane}:${id}-1`, "returnvalue")));
  while ((await dropped()).some((note) => !(note ?? "").includes("dropped"))) await sleep(20);
  await client.query("UPDATE jobs SET run_at = NULL WHERE id = ANY ($1)", [jobIds]);
  for (const id of jobIds)
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  expect(await redis.hget(`${lane}:${jobIds[0]!}-1-1`, "finishedOn")).not.toBeNull();
}, 180_000);
