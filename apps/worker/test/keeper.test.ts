import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { pino } from "pino";
import { migrate, openDatabase, type Database } from "@genga/database";
import { type TicketQueue } from "@genga/jobs";
import { createTicketQueue } from "@genga/queue";
import { readConfiguration } from "@genga/runtime";
import { createFolderStorage } from "@genga/storage";
import { buildJob, createTestDatabase, testServiceUrl, type TestDatabase } from "@genga/testing";
import { Keeper } from "../src/sweeping/keeper.ts";
import { counted } from "./support/counted.ts";
import { untilOneWaitsFor, waitingFor } from "./support/locks.ts";

let scratch: TestDatabase;
let database: Database;
let client: pg.Client;
/** Holds what a step waits for. */
let locker: pg.Client;
let tickets: TicketQueue;
let folder: string;
let keeper: Keeper;
const logged: string[] = [];
/** The methods of stores that the keeper has called. */
const asked: string[] = [];

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  // A statement that waits goes on waiting until the test ends that.
  database = openDatabase({ databaseUrl: scratch.url, statementTimeoutMs: 600_000 });
  client = new pg.Client({ connectionString: scratch.url });
  locker = new pg.Client({ connectionString: scratch.url });
  await Promise.all([client.connect(), locker.connect()]);
  const log = pino({ level: "debug" }, { write: (line: string) => void logged.push(line) });
  const redisUrl = testServiceUrl("TEST_REDIS_URL");
  tickets = createTicketQueue({ redisUrl, prefix: `test-${randomUUID().slice(0, 8)}`, logger: log });
  folder = await mkdtemp(join(tmpdir(), "genga-keeper-"));
  keeper = new Keeper({
    ...{
      ownerId: "keeper",
      store: counted(database.keeping, asked),
      servers: database.servers,
      tickets,
      log,
    },
    ...{ events: counted(database.eventSequencer, asked), webhooks: database.webhookQueue },
    onDeliveries: () => undefined,
    storage: await createFolderStorage({ folder }),
    settings: readConfiguration({}).keeping,
    leaseMs: 60_000,
  });
}, 180_000);
afterAll(async () => {
  await locker.end();
  await keeper.stop();
  await tickets.close();
  await database.close();
  await client.end();
  await scratch.drop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

/** A removal that somebody began is finished while the steps have their turns. */
async function finishRemoval(): Promise<void> {
  await client.query(
    "INSERT INTO pending_removals (job_id, lane, attempt, due_at) VALUES ($1, 'default', 1, now() - interval '1 second')",
    [randomUUID()],
  );
  while ((await client.query("SELECT FROM pending_removals")).rowCount !== 0) {
    await keeper.tick();
    await sleep(20);
  }
}

test("a step of keeping house that waits, or fails, keeps no other from its turn", async () => {
  await locker.query("BEGIN");
  await locker.query("LOCK TABLE files_to_remove IN ACCESS EXCLUSIVE MODE");
  await keeper.tick();
  const waiting = await untilOneWaitsFor(client, "files_to_remove");
  await finishRemoval();
  expect(await waitingFor(client, "files_to_remove")).toEqual([waiting]);
  await client.query("SELECT pg_cancel_backend($1)", [waiting]);
  while (!logged.some((line) => line.includes('"step":"files of uploads"'))) await sleep(20);
  await finishRemoval();
}, 180_000);

test("events get their positions within a pass", async () => {
  const tenant = await database.tenants.defaultTenant();
  const [job] = await database.jobRequests.insertJobs({
    ...{ tenantId: tenant.id, batch: null, jobs: [buildJob()] },
  });
  const scope = { tenantId: tenant.id };
  const placed = async (): Promise<unknown[]> =>
    (await database.eventReader.listPlaced(scope, 0n, 10)).events.map(({ position, event }) => [
      ...[position, event.jobId, event.sequence],
    ]);
  while ((await placed()).length === 0) {
    await keeper.tick();
    await sleep(20);
  }
  expect(await placed()).toEqual([[1n, job!.id, 1]]);
}, 180_000);

test("records whose time is over are removed in one pass, however many there are", async () => {
  const tenant = await database.tenants.defaultTenant();
  const upload = await database.uploads.saveUpload({
    ...{ tenantId: tenant.id, sha256: "a".repeat(64), mediaType: "image/png", bytes: 1, width: 1, height: 1 },
    ...{ frames: 1, durationMs: null, blake3: null },
  });
  await client.query(
    `INSERT INTO assets (id, tenant_id, upload_id, tags, expires_at)
     SELECT gen_random_uuid(), $1, $2, '{}', now() FROM generate_series(1, 1200)`,
    [tenant.id, upload.id],
  );
  asked.length = 0;
  while (!asked.includes("removeUnused")) {
    await keeper.tick();
    await sleep(20);
  }
  while ((await client.query("SELECT FROM assets")).rowCount !== 0) await sleep(20);
}, 180_000);

test("steps that have their turn each second are begun only when there is something to do", async () => {
  const everySecond = ["foldCounts", "assignPositions", "listPendingRemovals"];
  for (;;) {
    asked.length = 0;
    await keeper.tick();
    await keeper.tick();
    // What the tests before left behind.
    if (!asked.some((name) => everySecond.includes(name))) break;
    await sleep(20);
  }
  expect(asked.filter((name) => name === "findKeeperWork")).toHaveLength(2);
  await finishRemoval();
  expect(asked).toContain("listPendingRemovals");
  expect(asked).not.toContain("assignPositions");
});
