import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { pino } from "pino";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";
import { type HeldTicket, type Job, noTenantLimitChoices, type TicketQueue } from "@genga/jobs";
import { createTicketQueue } from "@genga/queue";
import { buildJob, createTestDatabase, testServiceUrl, type TestDatabase } from "@genga/testing";
import { Sweeper } from "../src/sweeping/sweeper.ts";
import { counted } from "./support/counted.ts";
import { OutageGuard } from "../src/timing/outage-guard.ts";

// A lane and a band that are never empty: real tickets in Redis, swept as a worker does it.

const ageingMs = 600_000;
let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
let tickets: TicketQueue;
let sweeper: Sweeper;
let serverId: string;
/** The methods of stores that the sweeper has called. */
const asked: string[] = [];

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
  const log = pino({ level: "silent" });
  const redisUrl = testServiceUrl("TEST_REDIS_URL");
  tickets = createTicketQueue({ redisUrl, prefix: `test-${randomUUID().slice(0, 8)}`, logger: log });
  sweeper = new Sweeper({
    ...{
      ownerId: "sweeper",
      runs: counted(database.jobRuns, asked),
      announcer: counted(database.jobAnnouncer, asked),
      servers: counted(database.servers, asked),
    },
    ...{ serverSources: database.serverSources, retireMs: 60_000 },
    ...{ tickets, guard: new OutageGuard(60_000), leaseMs: 60_000, graceMs: 60_000, ageingMs, log },
    guessedLanes: { tick: () => Promise.resolve() },
    signals: {
      publish: () => undefined,
      subscribe: () => Promise.resolve(() => undefined),
      close: () => Promise.resolve(),
    },
    mayRequeue: () => false,
    hasOtherWorkers: () => false,
    metrics: { noteRecovered: () => undefined, noteSweeperFailure: () => undefined },
  });
  const [server] = await database.servers.registerServers([{ url: "http://127.0.0.1:8188", slots: 2 }]);
  serverId = server!.id;
}, 180_000);
afterAll(async () => {
  await tickets.close();
  await database.close();
  await client.end();
  await scratch.drop();
}, 180_000);

async function accept(count: number, weight: number | null, priority: "normal" | "high"): Promise<Job[]> {
  const [tenant] = await database.tenants.ensureTenants([`tenant-${uuidv7()}`]);
  const by = { keyName: "operator", tenantId: null };
  await database.tenantLimits.saveChoices(tenant!.id, { ...noTenantLimitChoices, weight }, by);
  return await database.jobRequests.insertJobs({
    tenantId: tenant!.id,
    batch: { id: uuidv7(), name: null },
    jobs: Array.from({ length: count }, () => buildJob({ priority })),
  });
}

/** Enough turns for everything that the sweeper does only in some of them. */
async function sweep(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await sweeper.tick();
}

async function claim(held: HeldTicket[]): Promise<void> {
  const claims = held.map(({ jobId, attempt, ticketNumber }) => ({
    ...{ jobId, attempt, ticketNumber, isLimited: false, serverId },
    ...{ workerId: "worker", clientId: "client", promptId: uuidv7() },
  }));
  expect(await database.jobRuns.claimJobs(claims, 60_000)).toHaveLength(held.length);
}

test("a pass that finds nothing to do asks only for its lease and whether there is something", async () => {
  // The first pass also looks for definitions that no server has any more.
  await sweeper.tick();
  asked.length = 0;
  await sweeper.tick();
  expect(asked).toEqual(["acquireNamedLease", "findSweeperWork"]);
});

test("keeps its fairness and its order for more jobs than a ticket's priority can tell apart", async () => {
  // Each of these jobs moves the clock by 160 ranks: together by far more than the window.
  const flood = await accept(2_000, 0.1, "normal");
  await sweep();
  const order: string[] = [];
  for (let round = 0; round < 8; round += 1) {
    const held = await tickets.take("default", 200);
    order.push(...held.map(({ jobId }) => jobId));
    await claim(held);
    await sweep();
    const [late] = await accept(1, null, "normal");
    await sweep();
    const [first] = await tickets.take("default", 1);
    expect(first?.jobId).toBe(late?.id);
    await claim([first!]);
  }
  expect(order).toEqual(flood.slice(0, 1_600).map(({ id }) => id));
}, 180_000);

test("lets a job that has waited long take its turn in the band above", async () => {
  const flood = await accept(50, null, "high");
  const [old] = await accept(1, null, "normal");
  await sweep();
  await client.query(
    "UPDATE jobs SET enqueued_at = enqueued_at - $2::float8 * interval '1 millisecond' WHERE id = $1",
    [old?.id, ageingMs],
  );
  await sweep();
  const taken = (await tickets.take("default", 3)).map(({ jobId }) => jobId);
  expect(taken).toContain(old?.id);
  expect(taken).toContain(flood[0]?.id);
}, 180_000);
