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
let boss: ApiClient;

/** Leases are short, so that take-overs are quick. */
const env = {
  ...{ LEASE_MS: "1500", SERVER_GRACE_MS: "3000", SERVER_SLOTS: "2" },
  API_KEYS: "one:submit:key-of-one,two:submit:key-of-two,boss:operate:key-of-boss",
};

beforeAll(async () => {
  database = await createMigratedDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  stack = await startStack({ databaseUrl: database.url, env, simulators: 2 });
  api = new ApiClient(stack.url, "key-of-one");
  neighbour = new ApiClient(stack.url, "key-of-two");
  boss = new ApiClient(stack.url, "key-of-boss");
  // All tests but one are about one server.
  await tell("drain", 1);
  await learnThatJobsAreShort();
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await client.end();
  await database.drop();
}, 180_000);

const job = (seconds: number): object => ({
  type: "workflow",
  workflow: sleepWorkflow(seconds, { steps: Math.max(1, seconds * 10) }),
});
const shortJobs = (count: number): object[] => Array.from({ length: count }, () => job(0));

/**
 * All jobs here are of one lane. It stays short, and its tenants' jobs count alike, however busy this machine is and
 * however long some jobs take.
 */
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
  await client.query(`CREATE FUNCTION count_alike() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN new.run_ms = 5; RETURN new; END'`);
  await client.query(
    "CREATE TRIGGER count_alike BEFORE INSERT OR UPDATE ON tenant_runs FOR EACH ROW EXECUTE FUNCTION count_alike()",
  );
  await client.query("UPDATE tenant_runs SET run_ms = 5");
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
  const others = { jobsQueuedMax: null, requestsPerMinute: null, requestsAtOnce: null, streamsMax: null };
  const answer = await boss.request("PUT", "tenants/one/limits", { ...others, jobsRunningMax });
  expect(answer.status).toBe(200);
}

/** Drains or resumes the first or the second server, as soon as a worker owns it. */
async function tell(what: "drain" | "resume", server: 0 | 1): Promise<void> {
  const { url } = stack.simulators[server]!;
  let id: string | undefined;
  await until(async () => {
    const { servers } = serversSchema.parse(await (await boss.request("GET", "servers")).json());
    id = servers.find((each) => each.url.startsWith(url) && each.state === "online")?.id;
    return id !== undefined;
  });
  expect((await boss.request("POST", `servers/${id}/${what}`)).status).toBe(202);
}

const serversSchema = z.object({
  servers: z.array(z.object({ id: z.string(), url: z.string(), state: z.string() })),
});

/** How many jobs were claimed from this moment on, until so many seconds of the executing job had passed. */
async function claimedSince(since: Date, executing: string, seconds: number): Promise<number> {
  return await count(
    `SELECT count(*)::int FROM job_attempts WHERE claimed_at > $1
       AND claimed_at < (SELECT max(execution_started_at) + $3 * interval '1 second' FROM job_attempts WHERE job_id = $2)`,
    [since, executing, seconds],
  );
}

async function now(): Promise<Date> {
  const { rows } = await client.query<{ now: Date }>("SELECT now()");
  return rows[0]!.now;
}

/** The prompts of the attempts of these jobs; those of the earlier attempts alone if asked. */
async function promptsOf(jobIds: readonly string[], which: "all" | "earlier"): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `SELECT attempt.prompt_id AS id FROM job_attempts attempt JOIN jobs ON jobs.id = attempt.job_id
     WHERE jobs.id = ANY($1) AND ($2 OR attempt.number < jobs.attempt)`,
    [jobIds, which === "all"],
  );
  return rows.map(({ id }) => id);
}

/** How many jobs were claimed together after this moment, at first: they have the same time. */
const firstClaimed = `SELECT count(*)::int FROM job_attempts WHERE claimed_at =
  (SELECT min(claimed_at) FROM job_attempts WHERE claimed_at > $1)`;

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
  }, 180_000);

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
  }, 180_000);

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
  }, 180_000);

  test("gives two tenants equal shares, but for the jobs that were on the server when the second came", async () => {
    const { jobIds: flood } = await api.submitBatch(shortJobs(120));
    await api.untilEnded(flood[20]!);
    const { jobIds } = await neighbour.submitBatch(shortJobs(30));
    for (const id of jobIds) await neighbour.untilEnded(id);
    // Those of the flood that were claimed between the neighbour's first claim and its last.
    const ahead = await count(
      `SELECT count(*)::int FROM job_attempts WHERE job_id = ANY($1) AND claimed_at BETWEEN
         (SELECT min(claimed_at) FROM job_attempts WHERE job_id = ANY($2))
         AND (SELECT max(claimed_at) FROM job_attempts WHERE job_id = ANY($2))`,
      [flood, jobIds],
    );
    expect(ahead).toBeLessThanOrEqual(jobIds.length + 16);
    await expectAllCompleted(flood, 1);
  }, 180_000);

  test("has more prompts on a server than it has slots, at most 16, but no further ones behind a long job", async () => {
    // A busy machine takes seconds until two cancels are recorded, and they wait only while the long job goes on.
    const { jobIds, long, waiting } = await deepQueueBehindLongOne(15);
    expect(waiting.length).toBeLessThan(16);
    const cancelled = waiting.slice(1, 3);
    for (const id of cancelled) await api.cancel(id);
    for (const id of cancelled) expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled" });
    const since = await now();
    await expectAllCompleted(
      jobIds.filter((id) => !cancelled.includes(id)),
      1,
    );
    // The two places were free while the long job went on.
    expect(await claimedSince(since, long, 14)).toBe(0);
    await expectOneExecutionEach();
  }, 180_000);

  test("ends what runs on a server that is drained, gives back what waits there, and gives it no more", async () => {
    const { jobIds, long, waiting } = await deepQueueBehindLongOne(4);
    await tell("drain", 0);
    await expectAllCompleted([long], 1);
    expect(await processing()).toBe(0);
    const queued = "SELECT count(*)::int FROM jobs WHERE id = ANY($1) AND status = 'queued'";
    expect(await count(queued, [waiting])).toBe(waiting.length);
    await tell("resume", 0);
    await expectAllCompleted(waiting, 2);
    await expectAllCompleted(
      jobIds.filter((id) => !waiting.includes(id)),
      1,
    );
    await expectOneExecutionEach();
  }, 180_000);

  test("has one prompt at first on a server that was away", async () => {
    const { jobIds } = await deepQueueBehindLongOne(90);
    const since = await now();
    await stack.simulators[0]!.fault({ kind: "restart", downMs: 6_000 });
    for (const id of jobIds.slice(0, 40)) await api.untilEnded(id);
    await until(async () => (await count(firstClaimed, [since])) > 0);
    expect(await count(firstClaimed, [since])).toBe(1);
    await api.cancel(jobIds[40]!);
    for (const id of jobIds) await api.untilEnded(id);
  }, 180_000);

  test("gets all prompts back from a server that no longer starts any, each without a charge", async () => {
    await stack.simulators[0]!.fault({ kind: "wedge" });
    const { jobIds } = await api.submitBatch(shortJobs(60));
    let waiting: string[] = [];
    await until(async () => (waiting = await waitingOnServer()).length > 2);
    await until(async () => (await processing()) === 0);
    expect(await waitingOnServer()).toEqual([]);
    await stack.simulators[0]!.fault({ kind: "restart" });
    for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
    const { rows } = await client.query(
      "SELECT id FROM jobs WHERE id = ANY($1) AND attempt = 2 AND attempts_charged = 0 AND crash_count = 0",
      [jobIds],
    );
    expect(rows.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(waiting));
    await expectOneExecutionEach();
  }, 180_000);

  test("moves its prompts from behind a long job to a server that falls idle, one by one", async () => {
    const { jobIds, long, waiting } = await deepQueueBehindLongOne(100);
    await tell("resume", 1);
    for (const id of jobIds.filter((each) => each !== long))
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
    expect(await api.job(long)).toMatchObject({ status: "processing", attempt: 1 });
    const moved = await client.query<{ id: string }>(
      "SELECT job_id AS id FROM job_attempts WHERE job_id = ANY($1) AND failure ->> 'code' = 'taken-back'",
      [jobIds],
    );
    expect(moved.rows.map(({ id }) => id).sort()).toEqual([...waiting].sort());
    const [first, second] = await Promise.all(stack.simulators.map((server) => server.executions()));
    const earlier = await promptsOf(waiting, "earlier");
    expect(first!.filter((promptId) => earlier.includes(promptId))).toEqual([]);
    const all = await promptsOf(waiting, "all");
    expect(second!.filter((promptId) => all.includes(promptId))).toHaveLength(waiting.length);
    await tell("drain", 1);
    await api.cancel(long);
    await api.untilEnded(long);
  }, 180_000);
});
