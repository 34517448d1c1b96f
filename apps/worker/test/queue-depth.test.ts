import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ApiClient, sleepWorkflow, type Stack, startStack, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { z } from "zod";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let stack: Stack;
let client: pg.Client;
let api: ApiClient;
let neighbour: ApiClient;

/** Leases are short, so that take-overs are quick. */
const env = {
  ...{ LEASE_MS: "1500", SERVER_GRACE_MS: "3000", SERVER_SLOTS: "2" },
  API_KEYS: "one:submit:key-of-one,two:submit:key-of-two,boss:operate:key-of-boss",
};

beforeAll(async () => {
  database = await createMigratedDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  stack = await startStack({ databaseUrl: database.url, env });
  api = new ApiClient(stack.url, "key-of-one");
  neighbour = new ApiClient(stack.url, "key-of-two");
  await learnThatJobsAreShort();
}, 120_000);

afterAll(async () => {
  await stack.stop();
  await client.end();
  await database.drop();
}, 30_000);

const job = (seconds: number): object => ({
  type: "workflow",
  workflow: sleepWorkflow(seconds, { steps: Math.max(1, seconds * 10) }),
});
const shortJobs = (count: number): object[] => Array.from({ length: count }, () => job(0));

/** All jobs here are of one lane. It stays short, however busy this machine is and however long some jobs take. */
async function learnThatJobsAreShort(): Promise<void> {
  const { jobIds } = await api.submitBatch(shortJobs(12));
  for (const id of jobIds) await api.untilEnded(id);
  await until(async () => (await count("SELECT runs AS count FROM lanes")) >= 5);
  await client.query("UPDATE lanes SET run_ms = 5");
  await client.query(`CREATE FUNCTION stay_short() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN new.run_ms = old.run_ms; RETURN new; END'`);
  await client.query(
    "CREATE TRIGGER stay_short BEFORE UPDATE ON lanes FOR EACH ROW EXECUTE FUNCTION stay_short()",
  );
}

/**
 * As `jobsBehindLongOne`, with more prompts on the server than it has slots. On a busy machine a short prompt may execute
 * for so long that nothing follows it, hence the repetitions.
 */
async function deepQueueBehindLongOne(seconds: number): ReturnType<typeof jobsBehindLongOne> {
  for (;;) {
    const behind = await jobsBehindLongOne(seconds);
    if (behind.waiting.length > 2) return behind;
    await api.cancel(behind.long);
    for (const id of behind.jobIds) await api.untilEnded(id);
  }
}

/** A long job among short ones. Resolves when it executes and no other job is on its way to the server. */
async function jobsBehindLongOne(
  seconds: number,
): Promise<{ jobIds: string[]; long: string; waiting: string[] }> {
  const { jobIds } = await api.submitBatch([...shortJobs(40), job(seconds), ...shortJobs(20)]);
  const long = jobIds[40]!;
  await api.until(long, ({ phase }) => phase === "executing");
  let waiting: string[] = [];
  await until(async () => {
    waiting = await waitingOnServer();
    return waiting.length > 0 && (await processing()) === waiting.length + 1;
  });
  return { jobIds, long, waiting };
}

function processing(): Promise<number> {
  return count("SELECT count(*)::int FROM jobs WHERE status = 'processing'");
}

/** The jobs whose prompts wait on the server. */
async function waitingOnServer(): Promise<string[]> {
  const answer = await fetch(`${stack.simulators[0]!.url}/queue`);
  const { queue_pending: pending } = queueSchema.parse(await answer.json());
  const { rows } = await client.query<{ id: string }>("SELECT id FROM jobs WHERE prompt_id = ANY($1)", [
    pending.map(([, promptId]) => promptId),
  ]);
  return rows.map(({ id }) => id);
}

const queueSchema = z.object({ queue_pending: z.array(z.tuple([z.number(), z.string()]).rest(z.unknown())) });

async function count(sql: string, values: unknown[] = []): Promise<number> {
  const { rows } = await client.query<{ count: number }>(sql, values);
  return rows[0]?.count ?? 0;
}

async function limitRunning(jobsRunningMax: number | null): Promise<void> {
  const boss = new ApiClient(stack.url, "key-of-boss");
  const others = { jobsQueuedMax: null, requestsPerMinute: null, requestsAtOnce: null, streamsMax: null };
  const answer = await boss.request("PUT", "tenants/one/limits", { ...others, jobsRunningMax });
  expect(answer.status).toBe(200);
}

async function until(test: () => Promise<boolean>): Promise<void> {
  while (!(await test())) await sleep(20);
}

async function expectOneExecutionEach(): Promise<void> {
  const executions = await stack.simulators[0]!.executions();
  expect(new Set(executions).size).toBe(executions.length);
}

async function expectAllCompleted(jobIds: readonly string[], attempt: number): Promise<void> {
  for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt });
}

describe("a lane of short jobs", () => {
  test("is adopted as a whole after the worker's death, with one execution of each job", async () => {
    const { jobIds, waiting } = await deepQueueBehindLongOne(5);
    stack.workers[0]!.signal("SIGKILL");
    await stack.workers[0]!.exited;
    stack.workers.splice(0, 1);
    await stack.startWorker();
    await expectAllCompleted(jobIds, 1);
    await expectOneExecutionEach();
    const adopted = await client.query("SELECT job_id FROM job_events WHERE type = 'adopted'");
    const adoptedIds = adopted.rows.map(({ job_id: id }: { job_id: string }) => id);
    expect(adoptedIds).toEqual(expect.arrayContaining(waiting));
  }, 120_000);

  test("loses no attempt to a crash of the server, apart from the job that executed", async () => {
    const { jobIds, long, waiting } = await deepQueueBehindLongOne(90);
    await stack.simulators[0]!.fault({ kind: "amnesia" });
    await api.until(long, ({ attempt, phase }) => attempt === 2 && phase === "executing");
    await api.cancel(long);
    for (const id of jobIds)
      expect(await api.untilEnded(id)).toMatchObject({ status: id === long ? "cancelled" : "completed" });
    const crashes = await client.query("SELECT id, crash_count FROM jobs WHERE crash_count > 0");
    expect(crashes.rows).toEqual([{ id: long, crash_count: 1 }]);
    const again = await client.query("SELECT id FROM jobs WHERE attempt = 2 AND attempts_charged = 0");
    expect(again.rows.map(({ id }: { id: string }) => id).sort()).toEqual([long, ...waiting].sort());
  }, 120_000);

  test("has two jobs on a server if its tenant may have two running", async () => {
    await limitRunning(2);
    const { jobIds, waiting, long } = await jobsBehindLongOne(90);
    expect(waiting).toHaveLength(1);
    await api.cancel(long);
    for (const id of jobIds) await api.untilEnded(id);
    await limitRunning(null);
    // Its jobs in the order of their claims: each began when all but one of those before it had ended.
    const overlapping = await count(
      `SELECT max((SELECT count(*) FROM job_attempts other WHERE other.job_id = ANY($1)
         AND other.claimed_at <= attempt.claimed_at AND other.finished_at > attempt.claimed_at))::int AS count
       FROM job_attempts attempt WHERE attempt.job_id = ANY($1)`,
      [jobIds],
    );
    expect(overlapping).toBeLessThanOrEqual(2);
  }, 120_000);

  test("gives two tenants equal shares, but for the jobs that were on the server when the second came", async () => {
    const { jobIds: flood } = await api.submitBatch(shortJobs(120));
    await api.untilEnded(flood[20]!);
    const { jobIds } = await neighbour.submitBatch(shortJobs(30));
    for (const id of jobIds) await neighbour.untilEnded(id);
    // Those of the flood that were claimed between the neighbour's tickets and its last claim.
    const ahead = await count(
      `SELECT count(*)::int FROM job_attempts WHERE job_id = ANY($1) AND claimed_at BETWEEN
         (SELECT min(enqueued_at) FROM jobs WHERE id = ANY($2)) AND (SELECT max(claimed_at) FROM job_attempts WHERE job_id = ANY($2))`,
      [flood, jobIds],
    );
    expect(ahead).toBeLessThanOrEqual(jobIds.length + 16);
    await expectAllCompleted(flood, 1);
  }, 120_000);

  test("has more prompts on a server than it has slots, at most 16, but no further ones behind a long job", async () => {
    const { jobIds, long, waiting } = await deepQueueBehindLongOne(4);
    expect(waiting.length).toBeLessThan(16);
    const cancelled = waiting.slice(1, 3);
    for (const id of cancelled) await api.cancel(id);
    for (const id of cancelled) expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled" });
    const { rows } = await client.query<{ since: Date }>("SELECT now() AS since");
    await expectAllCompleted(
      jobIds.filter((id) => !cancelled.includes(id)),
      1,
    );
    // The two places were free while the long job went on.
    const claimedMeanwhile = await count(
      `SELECT count(*)::int FROM job_attempts WHERE claimed_at > $1
         AND claimed_at < (SELECT execution_started_at + interval '3 seconds' FROM job_attempts WHERE job_id = $2)`,
      [rows[0]!.since, long],
    );
    expect(claimedMeanwhile).toBe(0);
    await expectOneExecutionEach();
  }, 120_000);
});
