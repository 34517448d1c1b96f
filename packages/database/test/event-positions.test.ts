import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import {
  CursorFromTheFutureError,
  CursorTooOldError,
  type EventSequencer,
  type Job,
  type PlacedEvent,
} from "@genga/jobs";
import { buildJob } from "@genga/testing";
import { openTestStores, type TestStores } from "./test-stores.ts";

let stores: TestStores;
let tenantId: string;
let client: pg.Client;
/** Keeps transactions open. */
let other: pg.Client;

beforeAll(async () => {
  stores = await openTestStores();
  tenantId = (await stores.tenants.defaultTenant()).id;
  client = new pg.Client({ connectionString: stores.url });
  other = new pg.Client({ connectionString: stores.url });
  await Promise.all([client.connect(), other.connect()]);
});
afterAll(async () => {
  await Promise.all([client.end(), other.end()]);
  await stores.close();
});
afterEach(async () => {
  await other.query("ROLLBACK");
});

async function insert(count: number, batchName?: string): Promise<Job[]> {
  const jobs = Array.from({ length: count }, (_, batchIndex) => buildJob({ batchIndex }));
  const batch = batchName === undefined ? null : { id: uuidv7(), name: batchName };
  return await stores.jobRequests.insertJobs({
    ...{ tenantId, batch },
    jobs: batch === null ? jobs.map((job) => ({ ...job, batchIndex: null })) : jobs,
  });
}

/** All that can be given a position gets one. */
async function assignAll(limit = 1_000): Promise<void> {
  while ((await stores.eventSequencer.assignPositions(limit)).events > 0);
}

const lastPosition = (): Promise<bigint> => stores.eventReader.findLastPosition();

/** Appends the job's next event, as every statement does: under the lock of its row. */
async function append(on: pg.Client, { id }: { id: string }): Promise<void> {
  await on.query(
    `WITH job AS (UPDATE jobs SET event_sequence = event_sequence + 1 WHERE id = $1 RETURNING *)
     INSERT INTO job_events (job_id, sequence, type, attempt) SELECT id, event_sequence, 'requeued', attempt FROM job`,
    [id],
  );
}

async function placedAfter(after: bigint): Promise<PlacedEvent[]> {
  return (await stores.eventReader.listPlaced("all", after, 10_000)).events;
}

const shown = (events: PlacedEvent[]): string[] =>
  events.map(({ event }) => `${event.jobId} ${event.sequence}`);

describe("Positions", () => {
  test("rise in the order of the commits, and tell tenant and batch", async () => {
    await assignAll();
    const before = await lastPosition();
    const [one, two] = await insert(2, "a batch");
    const [single] = await insert(1);
    await append(client, one!);
    await stores.jobRequests.requestCancel(single!.id);
    await assignAll();
    const placed = await placedAfter(before);
    expect(shown(placed)).toEqual([
      ...[`${one!.id} 1`, `${two!.id} 1`, `${single!.id} 1`].sort(),
      `${one!.id} 2`,
      `${single!.id} 2`,
    ]);
    expect(placed.map(({ position }) => position)).toEqual([1n, 2n, 3n, 4n, 5n].map((step) => before + step));
    expect(await lastPosition()).toBe(before + 5n);
    expect(placed.at(-1)).toMatchObject({
      tenantId,
      batchId: null,
      event: { type: "cancelled", attempt: 0 },
    });
    expect(placed.at(-2)).toMatchObject({ tenantId, batchId: one!.batchId });
  });

  test("of a transaction that stays open come after its commit, and no other event waits for them", async () => {
    const [held, free] = await insert(2, "one waits");
    await assignAll();
    const before = await lastPosition();
    await other.query("BEGIN");
    await append(other, held!);
    await append(client, free!);
    await append(client, free!);
    await assignAll();
    expect(shown(await placedAfter(before))).toEqual([`${free!.id} 2`, `${free!.id} 3`]);
    await other.query("COMMIT");
    await append(client, held!);
    await assignAll();
    expect(shown(await placedAfter(before + 2n))).toEqual([`${held!.id} 2`, `${held!.id} 3`]);
  });

  test("of a transaction that is rolled back are never given", async () => {
    const [job] = await insert(1);
    await assignAll();
    const before = await lastPosition();
    await other.query("BEGIN");
    await append(other, job!);
    await assignAll();
    await other.query("ROLLBACK");
    await append(client, job!);
    await assignAll();
    expect(shown(await placedAfter(before))).toEqual([`${job!.id} 2`]);
  });

  test("are given by one process at a time: another one changes nothing and does not wait", async () => {
    const [job] = await insert(1);
    await other.query("BEGIN");
    await other.query("SELECT FROM event_feed FOR UPDATE");
    expect(await stores.eventSequencer.assignPositions(10)).toMatchObject({ events: 0 });
    await other.query("ROLLBACK");
    const before = await lastPosition();
    await assignAll();
    expect(shown(await placedAfter(before))).toEqual([`${job!.id} 1`]);
  });

  test("are given to fewer events at once after a failure, and to more again after successes", async () => {
    await assignAll();
    const before = await lastPosition();
    await insert(40, "many");
    // As if more than seven took too long.
    await client.query(`
      CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM placed) > 7 THEN RAISE 'took too long' USING ERRCODE = 'query_canceled'; END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER refuse_many AFTER INSERT ON event_positions REFERENCING NEW TABLE AS placed
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()`);
    const counts: (number | null)[] = [];
    const assign = async (): Promise<Awaited<ReturnType<EventSequencer["assignPositions"]>> | null> => {
      const assigned = await stores.eventSequencer.assignPositions(40).catch(() => null);
      counts.push(assigned?.events ?? null);
      return assigned;
    };
    try {
      for (let call = 0; call < 4; call += 1) await assign();
      expect(counts).toEqual([null, null, null, 5]);
      // While another process is at it, nothing is learnt.
      await assign();
      await other.query("BEGIN");
      await other.query("SELECT FROM event_feed FOR UPDATE");
      await assign();
      await other.query("ROLLBACK");
      expect(await assign()).toMatchObject({ events: 5, mayBeMore: true });
      expect(counts).toEqual([null, null, null, 5, null, 0, 5]);
    } finally {
      await client.query("DROP TRIGGER refuse_many ON event_positions; DROP FUNCTION refuse_many");
    }
    expect(await assign()).toMatchObject({ events: 10, mayBeMore: true });
    expect(await assign()).toMatchObject({ events: 20, mayBeMore: true });
    expect(await assign()).toMatchObject({ events: 0, mayBeMore: false });
    expect(await placedAfter(before)).toHaveLength(40);
  });

  test("are given once and without a gap while many events are written and many processes assign", async () => {
    await assignAll();
    const before = await lastPosition();
    const jobs = await insert(40, "many");
    const rounds = 10;
    let isWriting = true;
    /** Reads on from its cursor, as a subscriber does, and must never be overtaken. */
    const read = async (): Promise<PlacedEvent[]> => {
      const seen: PlacedEvent[] = [];
      for (let cursor = before; ;) {
        const wasWriting = isWriting;
        const page = await stores.eventReader.listPlaced("all", cursor, 7);
        seen.push(...page.events);
        if (!wasWriting && page.upTo === cursor) return seen;
        cursor = page.upTo;
      }
    };
    const assign = async (limit: number): Promise<void> => {
      while (isWriting) await stores.eventSequencer.assignPositions(limit);
    };
    const reading = read();
    const assigning = [3, 5, 11].map(assign);
    await Promise.all(
      [client, other].map(async (writer, half) => {
        for (let round = 0; round < rounds; round += 1) {
          for (const job of jobs.filter((_, index) => index % 2 === half)) await append(writer, job);
        }
      }),
    );
    while (((await client.query("SELECT FROM unsequenced_events")).rowCount ?? 0) > 0) await assignAll();
    isWriting = false;
    await Promise.all(assigning);
    const seen = await reading;
    expect(seen).toHaveLength(40 * (rounds + 1));
    expect(seen.map(({ position }) => position)).toEqual(seen.map((_, index) => before + BigInt(index) + 1n));
    for (const { id } of jobs) {
      const sequences = seen.filter(({ event }) => event.jobId === id).map(({ event }) => event.sequence);
      expect(sequences).toEqual(Array.from({ length: rounds + 1 }, (_, index) => index + 1));
    }
  }, 180_000);
});

describe("A removed job", () => {
  test("takes its positions along, and those of its events that had none yet", async () => {
    const [job, kept] = await insert(2, "one is removed");
    await assignAll();
    const before = (await lastPosition()) - 2n;
    await stores.jobRequests.requestCancel(job!.id);
    await stores.jobRequests.removeJob(job!.id);
    const { rows } = await client.query(
      `SELECT job_id FROM unsequenced_events WHERE job_id = $1 UNION ALL SELECT job_id FROM event_positions WHERE job_id = $1`,
      [job!.id],
    );
    expect(rows).toEqual([]);
    await assignAll();
    expect(shown(await placedAfter(before))).toEqual([`${kept!.id} 1`]);
    // The highest position was that of the removed job; it is not given again.
    await append(client, kept!);
    await assignAll();
    expect(await lastPosition()).toBe(before + 3n);
  });

  test("takes along the position that the sequencer is just giving it", async () => {
    const [job] = await insert(1);
    await stores.jobRequests.requestCancel(job!.id);
    const before = await lastPosition();
    await other.query("BEGIN");
    await other.query(
      `WITH note AS (DELETE FROM unsequenced_events WHERE job_id = $1 RETURNING *)
       INSERT INTO event_positions SELECT $2::bigint + sequence, job_id, sequence, $3::uuid, NULL FROM note`,
      [job!.id, before, tenantId],
    );
    const removal = stores.jobRequests.removeJob(job!.id);
    const waiting =
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while ((await client.query(waiting)).rowCount === 0);
    await other.query("COMMIT");
    expect(await removal).toMatchObject({ id: job!.id });
    expect((await client.query("SELECT FROM event_positions WHERE job_id = $1", [job!.id])).rowCount).toBe(0);
  });

  test("keeps its order when the removal is rolled back, and no other job waits for it", async () => {
    const [job, another] = await insert(2, "one is nearly removed");
    await append(client, job!);
    await append(client, another!);
    const before = await lastPosition();
    await other.query("BEGIN");
    await other.query("SELECT FROM unsequenced_events WHERE job_id = $1 AND sequence = 1 FOR UPDATE", [
      job!.id,
    ]);
    await assignAll();
    expect(shown(await placedAfter(before))).toEqual([`${another!.id} 1`, `${another!.id} 2`]);
    await other.query("ROLLBACK");
    await assignAll();
    expect(shown(await placedAfter(before + 2n))).toEqual([`${job!.id} 1`, `${job!.id} 2`]);
  });
});

describe("A reader", () => {
  test("gets the events of its batch or tenant only, in pages that say how far they reach", async () => {
    await assignAll();
    const before = await lastPosition();
    const [one] = await insert(3, "mine");
    await insert(2, "another's");
    await assignAll();
    const batch = { batchId: one!.batchId! };
    const first = await stores.eventReader.listPlaced(batch, before, 2);
    expect(first.events).toHaveLength(2);
    expect(first.upTo).toBe(first.events.at(-1)!.position);
    const second = await stores.eventReader.listPlaced(batch, first.upTo, 2);
    expect(second.events).toHaveLength(1);
    expect(second.upTo).toBe(before + 5n);
    expect((await stores.eventReader.listPlaced({ tenantId }, before, 10)).events).toHaveLength(5);
    for (const scope of [{ tenantId: uuidv7() }, { batchId: "no id" }]) {
      expect((await stores.eventReader.listPlaced(scope, before, 10)).events).toEqual([]);
    }
  });

  test("is told that its cursor is from the future, or too old", async () => {
    await insert(3);
    await assignAll();
    const last = await lastPosition();
    const { eventReader, eventSequencer } = stores;
    await expect(eventReader.listPlaced("all", last + 1n, 10)).rejects.toThrow(CursorFromTheFutureError);
    expect(await eventReader.listPlaced("all", last, 10)).toEqual({ events: [], upTo: last });
    while ((await eventSequencer.removeOldPositions(2, 3)) > 0);
    await expect(eventReader.listPlaced({ tenantId }, last - 3n, 10)).rejects.toThrow(CursorTooOldError);
    expect((await eventReader.listPlaced("all", last - 2n, 10)).events).toHaveLength(2);
    const { rows } = await client.query("SELECT FROM event_positions");
    expect(rows).toHaveLength(2);
  });

  test("finds what it has not read of one job: what comes after its position, and what has none yet", async () => {
    const [job] = await insert(1, "looked at");
    await append(client, job!);
    await assignAll();
    const position = (await lastPosition()) - 1n;
    await append(client, job!);
    const scope = { batchId: job!.batchId! };
    const unread = async (afterSequence: number, afterPosition: bigint): Promise<number[]> => {
      const of = { jobId: job!.id, afterSequence, afterPosition };
      return (await stores.eventReader.listUnread(scope, of, 10)).map(({ sequence }) => sequence);
    };
    expect(await unread(0, position)).toEqual([2, 3]);
    expect(await unread(2, position)).toEqual([3]);
    expect(await unread(0, position + 1n)).toEqual([3]);
    await assignAll();
    expect(await unread(0, position + 1n)).toEqual([3]);
    expect(await unread(0, position + 2n)).toEqual([]);
    const of = { jobId: job!.id, afterSequence: 0, afterPosition: 0n };
    expect(await stores.eventReader.listUnread({ tenantId: uuidv7() }, of, 10)).toEqual([]);
  });
});
