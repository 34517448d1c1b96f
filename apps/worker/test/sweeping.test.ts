import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { pino } from "pino";
import { v7 as uuidv7 } from "uuid";
import { migrate, openDatabase, type Database } from "@genga/database";
import { type Job, type TicketQueue } from "@genga/jobs";
import { createTicketQueue } from "@genga/queue";
import { buildJob, createTestDatabase, testServiceUrl, type TestDatabase } from "@genga/testing";
import { Sweeper } from "../src/sweeping/sweeper.ts";
import { OutageGuard } from "../src/timing/outage-guard.ts";

// The sweeper beside rows that other transactions keep locked for longer than a statement may take.

const log = pino({ level: "silent" });
const redisUrl = testServiceUrl("TEST_REDIS_URL");
let scratch: TestDatabase;
let database: Database;
let client: pg.Client;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: scratch.url, statementTimeoutMs: 3_000 });
  client = new pg.Client({ connectionString: scratch.url });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await database.close();
  await client.end();
  await scratch.drop();
}, 180_000);

/** A Redis of its own that has no ticket of the jobs which have one by PostgreSQL. */
function openWiped(): { tickets: TicketQueue; sweeper: Sweeper; failed: string[] } {
  const failed: string[] = [];
  const tickets = createTicketQueue({ redisUrl, prefix: `test-${randomUUID().slice(0, 8)}`, logger: log });
  const sweeper = new Sweeper({
    ...{ ownerId: "sweeper", runs: database.jobRuns, announcer: database.jobAnnouncer },
    ...{ servers: database.servers, serverSources: database.serverSources, retireMs: 60_000 },
    ...{ tickets, guard: new OutageGuard(60_000), leaseMs: 60_000, graceMs: 60_000, ageingMs: 60_000, log },
    guessedLanes: { tick: () => Promise.resolve() },
    signals: {
      publish: () => undefined,
      subscribe: () => Promise.resolve(() => undefined),
      close: () => Promise.resolve(),
    },
    mayRequeue: () => false,
    hasOtherWorkers: () => false,
    metrics: { noteRecovered: () => undefined, noteSweeperFailure: (step) => failed.push(step) },
  });
  return { tickets, sweeper, failed };
}

async function accept(...jobs: Parameters<typeof buildJob>[0][]): Promise<Job[]> {
  const [tenant] = await database.tenants.ensureTenants([`tenant-${uuidv7()}`]);
  const submission = { tenantId: tenant!.id, batch: null, jobs: jobs.map((job) => buildJob(job)) };
  return await database.jobRequests.insertJobs(submission);
}

const ticketOf = ({ id }: Job): { jobId: string; attempt: number; ticketNumber: number } => ({
  ...{ jobId: id, attempt: 1, ticketNumber: 0 },
});

const takenFrom = async (tickets: TicketQueue): Promise<string[]> =>
  (await tickets.take("default", 100)).map(({ jobId }) => jobId).sort();

/** Runs `work` while another transaction has locked the job's row, or that of its dependency, which nobody waits for long. */
async function whileLocked(job: Job, fault: "locked" | "refused", work: () => Promise<void>): Promise<void> {
  const row = fault === "locked" ? "jobs WHERE id = $1" : "job_dependencies WHERE job_id = $1";
  await client.query("BEGIN");
  try {
    await client.query(`SELECT FROM ${row} FOR UPDATE`, [job.id]);
    await work();
  } finally {
    await client.query("ROLLBACK");
  }
}

test("tickets of a wiped Redis are made again while a job's row stays locked, and then that job's", async () => {
  const [locked, ...others] = await accept({}, {}, {});
  await database.jobAnnouncer.markEnqueued([locked!, ...others].map(ticketOf));
  const { tickets, sweeper, failed } = openWiped();
  try {
    await whileLocked(locked!, "locked", async () => {
      for (let pass = 0; pass < 2; pass += 1) await sweeper.tick();
      expect(await takenFrom(tickets)).toEqual(others.map(({ id }) => id).sort());
      expect(await tickets.wasWiped()).toBe(true);
    });
    expect(failed).toEqual([]);
    await sweeper.tick();
    expect(await takenFrom(tickets)).toEqual([locked!.id]);
    expect(await tickets.wasWiped()).toBe(false);
  } finally {
    await tickets.close();
  }
}, 180_000);

test("a job whose row stays locked gets its ticket, and those of others are noted meanwhile", async () => {
  const [locked, other] = await accept({}, {});
  const { tickets, sweeper, failed } = openWiped();
  const announced = async (): Promise<string[]> =>
    (await database.jobAnnouncer.listAnnounced(null, 1_000)).map(({ jobId }) => jobId);
  try {
    await whileLocked(locked!, "locked", async () => {
      await sweeper.tick();
      expect(await announced()).toContain(other!.id);
      expect(await announced()).not.toContain(locked!.id);
    });
    await sweeper.tick();
    expect(await announced()).toContain(locked!.id);
    expect(await takenFrom(tickets)).toEqual(expect.arrayContaining([locked!.id, other!.id]));
    expect(failed).toEqual([]);
  } finally {
    await tickets.close();
  }
}, 180_000);

test("jobs get their tickets while another step of the sweeper fails", async () => {
  const [job] = await accept({});
  const { tickets, sweeper, failed } = openWiped();
  await client.query("BEGIN");
  try {
    await client.query("LOCK TABLE node_definitions");
    await sweeper.tick();
    expect(await takenFrom(tickets)).toContain(job!.id);
    expect(failed).toEqual(["definitions"]);
  } finally {
    await client.query("ROLLBACK");
    await tickets.close();
  }
}, 180_000);

test.each(["locked", "refused"] as const)(
  "an end that is %s keeps neither other ends nor tickets waiting",
  async (fault) => {
    const [first, second] = [buildJob(), buildJob()];
    const [, , stuck, told] = await accept(
      first,
      second,
      { dependsOn: [first.id] },
      { dependsOn: [second.id] },
    );
    // As by a process that dies right after its transaction.
    for (const { id } of [first, second])
      await client.query(
        `UPDATE jobs SET status = 'completed', phase = NULL, attempt = 1, percent = 100, finished_at = now()
         WHERE id = $1`,
        [id],
      );
    const { tickets, sweeper, failed } = openWiped();
    const open = async (): Promise<number[]> => {
      const { rows } = await client.query<{ open: number }>(
        "SELECT open_dependencies AS open FROM jobs WHERE id = ANY($1) ORDER BY id",
        [[stuck!.id, told!.id]],
      );
      return rows.map((row) => row.open);
    };
    try {
      const [ready] = await accept({});
      await whileLocked(stuck!, fault, async () => {
        await sweeper.tick();
        expect(await open()).toEqual([1, 0]);
        expect(await takenFrom(tickets)).toEqual(expect.arrayContaining([ready!.id, told!.id]));
      });
      expect(failed).toEqual(fault === "locked" ? [] : ["ends"]);
      if (fault === "refused") return;
      await sweeper.tick();
      expect(await open()).toEqual([0, 0]);
      expect(await takenFrom(tickets)).toContain(stuck!.id);
    } finally {
      await tickets.close();
    }
  },
  180_000,
);
