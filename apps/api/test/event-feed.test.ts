import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import pg from "pg";
import { defaultTenantId } from "@genga/database";
import {
  CursorFromTheFutureError,
  CursorTooOldError,
  EventFeed,
  type FeedCursor,
  type JobEvent,
  type LeasedJob,
  type Subscription,
} from "@genga/jobs";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

let api: ApiUnderTest;
let serverId: string;
let client: pg.Client;
/** Its transaction stays open. */
let holder: pg.Client;
let feed: EventFeed;
const subscriptions: Subscription[] = [];

beforeAll(async () => {
  api = await startApiUnderTest();
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
  client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await api.stop();
});
beforeEach(async () => {
  holder = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await holder.connect();
  feed = await openFeed();
});
afterEach(async () => {
  for (const subscription of subscriptions.splice(0)) subscription.end();
  await holder.end();
});

/** As one process has it, with its subscription live. */
async function openFeed(
  signals: Pick<typeof api.signals, "subscribe" | "publish"> = api.signals,
): Promise<EventFeed> {
  const { eventReader: reader, eventSequencer: sequencer } = api.database;
  const onError = (error: unknown): never => {
    throw error;
  };
  const opened = new EventFeed({ signals, reader, sequencer, onError, readEveryMs: 100 });
  // The feed's subscription is live once one that was made after it is.
  await api.signals.subscribe("job", () => undefined);
  return opened;
}

/** A follower of the tenant or of a batch, and the next event that it gets. */
async function follow(
  options: { batchId?: string; cursor?: FeedCursor; on?: EventFeed } = {},
): Promise<{ subscription: Subscription; next: () => Promise<JobEvent> }> {
  let wake = (): void => undefined;
  const scope = options.batchId === undefined ? { tenantId: defaultTenantId } : { batchId: options.batchId };
  const onNews = (): void => {
    wake();
  };
  const subscription = await (options.on ?? feed).follow(scope, { cursor: options.cursor ?? null, onNews });
  subscriptions.push(subscription);
  const next = async (): Promise<JobEvent> => {
    for (;;) {
      const woken = new Promise<void>((resolve) => (wake = resolve));
      const event = await subscription.outbox.take();
      if (event !== null) return event;
      await woken;
    }
  };
  return { subscription, next };
}

const shown = ({ jobId, sequence }: JobEvent): string => `${jobId} ${sequence}`;

async function take(count: number, next: () => Promise<JobEvent>): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) taken.push(shown(await next()));
  return taken;
}

async function submitBatch(jobs: number): Promise<{ batchId: string; jobIds: string[] }> {
  const job = { type: "image", prompt: "a cat" };
  const response = await api.post("batches", { jobs: Array.from({ length: jobs }, () => job) });
  const batch = (await response.json()) as { id: string; jobs: { id: string }[] };
  return { batchId: batch.id, jobIds: batch.jobs.map(({ id }) => id) };
}

/** Appends the job's next event in a transaction of the holder, and leaves it open. */
async function appendAndHold(jobId: string): Promise<void> {
  await holder.query("BEGIN");
  await holder.query(
    `WITH job AS (UPDATE jobs SET event_sequence = event_sequence + 1 WHERE id = $1 RETURNING *)
     INSERT INTO job_events (job_id, sequence, type, attempt) SELECT id, event_sequence, 'requeued', attempt FROM job`,
    [jobId],
  );
}

async function untilAllPlaced(): Promise<void> {
  while (((await client.query("SELECT FROM unsequenced_events")).rowCount ?? 0) > 0)
    await api.database.eventSequencer.assignPositions(1_000);
}

/** Three events that are told live, after `claimed`, which is not; in milliseconds until each of them was delivered. */
async function runTo(leased: LeasedJob, next: () => Promise<JobEvent>): Promise<number[]> {
  const tookMs: number[] = [];
  for (const phase of ["submitted", "executing", "saving"] as const) {
    await api.worker.report(leased, phase, {});
    const committedAt = performance.now();
    let event = await next();
    if (event.type === "claimed") event = await next();
    tookMs.push(performance.now() - committedAt);
    expect([event.jobId, event.type]).toEqual([leased.jobId, phase]);
  }
  return tookMs;
}

test("neither a transaction that stays open nor a sequencer that is stuck delays a live event, and none is lost or repeated", async () => {
  const { batchId, jobIds } = await submitBatch(2);
  const [free, held] = [jobIds[0]!, jobIds[1]!];
  await untilAllPlaced();
  const sequencer = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  sequencer.on("error", () => undefined);
  await sequencer.connect();
  const { subscription, next } = await follow({ batchId });
  await appendAndHold(held);
  // A sequencer that took the lock, and was stopped before it assigned anything.
  const { rows } = await sequencer.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  const sequencerPid = rows[0]?.pid;
  await sequencer.query("BEGIN");
  await sequencer.query("SELECT FROM event_feed FOR UPDATE");
  const before = subscription.outbox.cursor.position;
  const tookMs = await runTo(await api.worker.claim(free, serverId), next);
  expect(Math.min(...tookMs)).toBeLessThan(250);
  expect(subscription.outbox.cursor).toEqual({ position: before, ahead: new Map([[free, 5]]) });

  // The sequencer is killed. What was delivered gets its positions, and what was held back comes after its commit.
  await client.query("SELECT pg_terminate_backend($1)", [sequencerPid]);
  await holder.query("COMMIT");
  expect(shown(await next())).toBe(`${held} 2`);
  await sequencer.end().catch(() => undefined);
  await untilAllPlaced();
  await feed.tick();
  expect(await subscription.outbox.take()).toBeNull();
  expect(subscription.outbox.cursor).toEqual({ position: before + 5n, ahead: new Map() });
}, 180_000);

test("a follower who is cut off again and again gets every event once, from whatever process it follows", async () => {
  const { batchId, jobIds } = await submitBatch(5);
  const another = await openFeed();
  const received: string[] = [];
  let { subscription, next } = await follow({ batchId, cursor: { position: 0n, ahead: new Map() } });
  received.push(...(await take(5, next)));
  const work = jobIds.map(async (id) => {
    const leased = await api.worker.claim(id, serverId);
    for (const phase of ["submitted", "executing", "saving"] as const)
      await api.worker.report(leased, phase, {});
    await api.worker.complete(leased, []);
  });
  while (received.length < 30) {
    received.push(...(await take(1, next)));
    const { cursor } = subscription.outbox;
    subscription.end();
    ({ subscription, next } = await follow({
      batchId,
      cursor,
      on: received.length % 2 === 0 ? feed : another,
    }));
  }
  await Promise.all(work);
  await untilAllPlaced();
  expect(await subscription.outbox.take()).toBeNull();
  for (const id of jobIds) {
    const ofJob = received.filter((event) => event.startsWith(id));
    expect(ofJob).toEqual([1, 2, 3, 4, 5, 6].map((sequence) => `${id} ${sequence}`));
  }
}, 180_000);

test("while no live event arrives, the database tells everything, once it has positions", async () => {
  const deaf = await openFeed({ subscribe: () => new Promise(() => undefined), publish: () => undefined });
  const { next } = await follow({ on: deaf });
  const { jobIds } = await submitBatch(1);
  await api.worker.complete(await api.worker.claim(jobIds[0]!, serverId), []);
  expect(await take(3, next)).toEqual([1, 2, 3].map((sequence) => `${jobIds[0]} ${sequence}`));
});

test("a follower of one batch is told of no other, and nobody of another tenant's jobs", async () => {
  const [mine, others] = [await submitBatch(1), await submitBatch(1)];
  await untilAllPlaced();
  const { next } = await follow({ batchId: mine.batchId });
  const stranger = await feed.follow(
    { tenantId: "00000000-0000-4000-8000-000000000009" },
    { cursor: null, onNews: () => undefined },
  );
  subscriptions.push(stranger);
  for (const { jobIds } of [others, mine])
    await api.worker.complete(await api.worker.claim(jobIds[0]!, serverId), []);
  expect(await take(2, next)).toEqual([`${mine.jobIds[0]} 2`, `${mine.jobIds[0]} 3`]);
  await untilAllPlaced();
  await feed.tick();
  expect(await stranger.outbox.take()).toBeNull();
});

test("a cursor that is too old, or from the future, is refused by name", async () => {
  await submitBatch(3);
  await untilAllPlaced();
  const last = await api.database.eventReader.findLastPosition();
  await api.database.eventSequencer.removeOldPositions(2, 1_000);
  const at = async (position: bigint): Promise<JobEvent | null> =>
    await (await follow({ cursor: { position, ahead: new Map() } })).subscription.outbox.take();
  await expect(at(last - 3n)).rejects.toThrow(CursorTooOldError);
  await expect(at(last + 1n)).rejects.toThrow(CursorFromTheFutureError);
  expect(await at(last - 2n)).toMatchObject({ type: "accepted" });
});
