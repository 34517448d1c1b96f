import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import { startEmbeddedRedis, type EmbeddedServer } from "@genga/embedded";
import { ApiClient, createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { Redis } from "ioredis";
import pg from "pg";

// A Redis of its own, since its memory is limited while it is at work.

let folder: string;
let database: TestDatabase;
let server: EmbeddedServer;
let redis: Redis;
let observer: pg.Client;
let stack: Stack;
let api: ApiClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-full-redis-"));
  server = await startEmbeddedRedis({ dataDir: folder });
  redis = new Redis(server.url);
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  observer = new pg.Client({ connectionString: database.url });
  await observer.connect();
  const env = { REDIS_URL: server.url, REDIS_PREFIX: "full" };
  stack = await startStack({ databaseUrl: database.url, env });
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await observer.end();
  redis.disconnect();
  await server.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

/** Ticket ids that somebody could take or holds, each as often as it is there, of all lanes. */
async function liveTickets(): Promise<string[]> {
  const lanes = new Set(["default", ...(await redis.zrange("full:lanes", 0, -1))]);
  const tickets = await Promise.all([...lanes].map(liveTicketsOf));
  return tickets.flat();
}

async function liveTicketsOf(lane: string): Promise<string[]> {
  const key = (part: string): string => `full:${lane}:${part}`;
  const [prioritized, waiting, delayed, active] = await Promise.all([
    redis.zrange(key("prioritized"), 0, -1),
    redis.lrange(key("wait"), 0, -1),
    redis.zrange(key("delayed"), 0, -1),
    redis.lrange(key("active"), 0, -1),
  ]);
  return [...prioritized, ...waiting, ...delayed, ...active];
}

async function countJobs(where: string): Promise<number> {
  const { rows } = await observer.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM jobs WHERE ${where}`,
  );
  return rows[0]?.count ?? 0;
}

const jobs = Array.from({ length: 10_000 }, (_, seed) => ({
  ...{ type: "image", prompt: "a heron", width: 256, height: 256, steps: 1, seed },
}));

test("a burst of 10,000 that Redis has no room for is accepted, announced in full once it has, and cancelled at once", async () => {
  const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
  // Room for some thousands of tickets: it is full in the middle of the announcement.
  await redis.config("SET", "maxmemory", String(used + 4_000_000));
  const batch = await api.submitBatch(jobs);
  expect(batch.jobIds).toHaveLength(10_000);
  const halfway = (await liveTickets()).length;
  expect(halfway).toBeLessThan(9_000);
  expect(await countJobs("status = 'queued' AND enqueued_at IS NULL")).toBeGreaterThan(0);
  expect(await api.job(batch.jobIds[9_999]!)).toMatchObject({ status: "queued" });

  await redis.config("SET", "maxmemory", "0");
  while ((await countJobs("status = 'queued' AND enqueued_at IS NULL")) > 0) await sleepShortly();
  expect(await api.untilEnded(batch.jobIds[0]!)).toMatchObject({ status: "completed", failure: null });
  // Tickets first: a row that is still queued afterwards was so when they were read.
  const tickets = await liveTickets();
  expect(new Set(tickets).size).toBe(tickets.length);
  const { rows } = await observer.query<{ ticket: string }>(
    "SELECT id || '-' || attempt + 1 AS ticket FROM jobs WHERE status = 'queued'",
  );
  const announced = new Set(tickets);
  expect(rows.map(({ ticket }) => ticket).filter((ticket) => !announced.has(ticket))).toEqual([]);

  const startedAt = performance.now();
  const cancelled = await api.request("POST", `batches/${batch.id}/cancel`);
  const tookMs = performance.now() - startedAt;
  expect(cancelled.status).toBe(202);
  expect(tookMs / (await timeOfOneStatement())).toBeLessThan(15);
  while ((await countJobs("status IN ('queued', 'processing')")) > 0) await sleepShortly();
  const { counts } = await api.batch(batch.id);
  expect(Number(counts["completed"]) + Number(counts["cancelled"])).toBe(10_000);
  while ((await liveTickets()).length > 0) await sleepShortly();
  expect(await countTicketHashes()).toBeLessThan(2_000);
}, 180_000);

/** What Bull Board keeps of finished ones is left, nothing of cancelled ones. */
async function countTicketHashes(): Promise<number> {
  let count = 0;
  for await (const keys of redis.scanStream({ match: "full:*:0*", count: 1_000 })) {
    count += (keys as string[]).length;
  }
  return count;
}

/** The same amount of rows and events written by one statement, and rolled back. */
async function timeOfOneStatement(): Promise<number> {
  await observer.query("BEGIN");
  const startedAt = performance.now();
  await observer.query(`WITH job AS (
      UPDATE jobs SET finished_at = now(), event_sequence = event_sequence + 100 RETURNING *
    ) INSERT INTO job_events (job_id, sequence, type, attempt) SELECT id, event_sequence, 'cancelled', attempt FROM job`);
  const tookMs = performance.now() - startedAt;
  await observer.query("ROLLBACK");
  return tookMs;
}

async function sleepShortly(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
