import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { StoreUnavailableError } from "../job/job-errors.ts";
import { type JobEvent } from "../job/job.ts";
import { type FeedPage } from "../ports/event-store.ts";
import { Outbox, type Backlog, type FeedCursor } from "./outbox.ts";

const start: FeedCursor = { position: 0n, ahead: new Map() };
const jobIds = ["a", "b", "c", "d"];

function eventOf(jobId: string, sequence: number): JobEvent {
  const createdAt = new Date(0);
  return { jobId, sequence, type: sequence === 1 ? "accepted" : "requeued", attempt: 0, data: {}, createdAt };
}

interface Note {
  jobId: string;
  sequence: number;
}

/** What PostgreSQL and Redis do with the events of a few jobs. */
class World implements Backlog {
  /** Events by job; those of an open transaction are not among them. */
  readonly stored = new Map<string, number>();
  readonly removed = new Set<string>();
  /** Live events on their way. */
  inFlight: JobEvent[] = [];
  isAway = false;
  /** A job whose transaction is open, and its notes, which nobody else sees. */
  readonly #open = new Map<string, Note[]>();
  /** Notes in the order of their ids. */
  readonly #notes: { note: Note; isCommitted: boolean }[] = [];
  readonly #placed: (Note & { position: bigint })[] = [];
  #last = 0n;

  /** Appends an event in a transaction that stays open. */
  append(jobId: string): void {
    if (this.removed.has(jobId)) return;
    const open = this.#open.get(jobId) ?? [];
    this.#open.set(jobId, open);
    const note = { jobId, sequence: (this.stored.get(jobId) ?? 0) + open.length + 1 };
    open.push(note);
    this.#notes.push({ note, isCommitted: false });
  }

  commit(jobId: string): void {
    for (const note of this.#open.get(jobId) ?? []) {
      this.stored.set(jobId, note.sequence);
      this.inFlight.push(eventOf(jobId, note.sequence));
      for (const known of this.#notes) if (known.note === note) known.isCommitted = true;
    }
    this.#open.delete(jobId);
  }

  commitAll(): void {
    for (const jobId of this.#open.keys()) this.commit(jobId);
  }

  remove(jobId: string): void {
    this.commit(jobId);
    this.removed.add(jobId);
    this.#drop(this.#notes, ({ note }) => note.jobId === jobId);
    this.#drop(this.#placed, (place) => place.jobId === jobId);
  }

  assign(limit: number): void {
    for (const { note } of this.#notes.filter(({ isCommitted }) => isCommitted).slice(0, limit)) {
      this.#last += 1n;
      this.#placed.push({ ...note, position: this.#last });
      this.#drop(this.#notes, (known) => known.note === note);
    }
  }

  listPlaced = (after: bigint, limit: number): Promise<FeedPage> => {
    if (this.isAway) return Promise.reject(new StoreUnavailableError(new Error("away")));
    return Promise.resolve(this.pageAfter(after, limit));
  };

  pageAfter(after: bigint, limit: number): FeedPage {
    const events = this.#placed
      .filter(({ position }) => position > after)
      .slice(0, limit)
      .map(({ position, jobId, sequence }) => ({
        ...{ position, tenantId: "t", batchId: null },
        event: eventOf(jobId, sequence),
      }));
    return { events, upTo: events.length < limit ? this.#last : events.at(-1)!.position };
  }

  listUnread(
    { jobId, afterSequence, afterPosition }: { jobId: string; afterSequence: number; afterPosition: bigint },
    limit: number,
  ): Promise<JobEvent[]> {
    if (this.isAway) return Promise.reject(new StoreUnavailableError(new Error("away")));
    const unread = [
      ...this.#placed.filter(({ position }) => position > afterPosition),
      ...this.#notes.filter(({ isCommitted }) => isCommitted).map(({ note }) => note),
    ].filter((note) => note.jobId === jobId && note.sequence > afterSequence);
    return Promise.resolve(unread.slice(0, limit).map(({ sequence }) => eventOf(jobId, sequence)));
  }

  #drop<Item>(list: Item[], isDropped: (item: Item) => boolean): void {
    list.splice(0, list.length, ...list.filter((item) => !isDropped(item)));
  }
}

/** A subscriber that may be cut off at any moment, and goes on from where it was with another outbox. */
class Subscriber {
  readonly received: JobEvent[] = [];
  outbox: Outbox;
  readonly #world: World;
  readonly #sizes: { newsMax: number; aheadMax: number };
  #tail = 0n;

  constructor(world: World, sizes: { newsMax: number; aheadMax: number }) {
    this.#world = world;
    this.#sizes = sizes;
    this.outbox = this.#outboxFrom(start);
  }

  cut(): void {
    this.outbox = this.#outboxFrom(this.outbox.cursor);
  }

  /** The process reads on, and tells the outbox unless it is lost on the way. */
  readTail(limit: number, isLost: boolean): void {
    const page = this.#world.pageAfter(this.#tail, limit);
    if (!isLost && page.upTo > this.#tail) this.outbox.notePlaced({ ...page, after: this.#tail });
    this.#tail = page.upTo;
  }

  async take(most: number): Promise<void> {
    for (let taken = 0; taken < most; taken += 1) {
      const event = await this.outbox.take().catch((error: unknown) => {
        if (error instanceof StoreUnavailableError) return null;
        throw error;
      });
      if (event === null) return;
      this.received.push(event);
    }
  }

  sequencesOf(jobId: string): number[] {
    return this.received.filter((event) => event.jobId === jobId).map(({ sequence }) => sequence);
  }

  #outboxFrom(cursor: FeedCursor): Outbox {
    return new Outbox({ backlog: this.#world, cursor, onNews: () => undefined, ...this.#sizes });
  }
}

const anyJob = fc.constantFrom(...jobIds);
const few = fc.integer({ min: 1, max: 4 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("append" as const), jobId: anyJob }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("commit" as const), jobId: anyJob }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), jobId: anyJob }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("assign" as const), limit: few }) },
  // The signal at this place of those under way arrives, is lost, or arrives a second time later.
  {
    weight: 8,
    arbitrary: fc.record({
      ...{ do: fc.constant("signal" as const), at: fc.nat(5) },
      as: fc.constantFrom("told", "told", "told", "lost", "repeated"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("tail" as const), limit: few, isLost: fc.boolean() }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("take" as const), most: few }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("cut", "reconnect", "away", "back") }) },
);

async function run(
  world: World,
  subscriber: Subscriber,
  next: typeof step extends fc.Arbitrary<infer Step> ? Step : never,
): Promise<void> {
  switch (next.do) {
    case "append":
    case "commit":
    case "remove":
      world[next.do](next.jobId);
      break;
    case "assign":
      world.assign(next.limit);
      break;
    case "signal": {
      const [event] = world.inFlight.slice(next.at, next.at + 1);
      if (event === undefined) break;
      if (next.as !== "repeated") world.inFlight.splice(next.at, 1);
      if (next.as !== "lost") subscriber.outbox.noteLive(event);
      break;
    }
    case "tail":
      subscriber.readTail(next.limit, next.isLost);
      break;
    case "take":
      await subscriber.take(next.most);
      break;
    case "cut":
      subscriber.cut();
      break;
    case "reconnect":
      world.inFlight = [];
      subscriber.outbox.lookAgain();
      break;
    case "away":
    case "back":
      world.isAway = next.do === "away";
  }
}

test("nothing is lost or repeated, and each job keeps its order, however commits, signals, positions and cuts interleave", async () => {
  const sizes = fc.record({
    newsMax: fc.integer({ min: 1, max: 6 }),
    aheadMax: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(sizes, fc.array(step, { maxLength: 120 }), async (size, steps) => {
      const world = new World();
      const subscriber = new Subscriber(world, size);
      for (const next of steps) await run(world, subscriber, next);
      // In the end everything is committed and has its position, and no more signals come. There is one more event, so that
      // a page follows the last one that was lost.
      world.isAway = false;
      world.append("end");
      world.commitAll();
      world.assign(1_000);
      subscriber.readTail(1_000, false);
      await subscriber.take(Infinity);
      for (const jobId of jobIds) {
        const sequences = subscriber.sequencesOf(jobId);
        const count = world.removed.has(jobId) ? sequences.length : (world.stored.get(jobId) ?? 0);
        expect(sequences).toEqual(Array.from({ length: count }, (_, index) => index + 1));
      }
    }),
    { numRuns: 3_000 },
  );
}, 180_000);

/** Its job's next event is committed and told live. */
function tell(world: World, outbox: Outbox, jobId: string): void {
  world.append(jobId);
  world.commit(jobId);
  outbox.noteLive(world.inFlight.pop()!);
}

function open(
  world: World,
  options: { cursor?: FeedCursor; aheadMax?: number; backlog?: Backlog } = {},
): Outbox {
  return new Outbox({ backlog: world, cursor: start, onNews: () => undefined, ...options });
}

async function takeAll(outbox: Outbox): Promise<string[]> {
  const taken: string[] = [];
  for (let event = await outbox.take(); event !== null; event = await outbox.take())
    taken.push(`${event.jobId}${event.sequence}`);
  return taken;
}

test("a live event is delivered at once while no event gets a position, and its positioned copy is dropped", async () => {
  const world = new World();
  const outbox = open(world);
  expect(await takeAll(outbox)).toEqual([]);
  for (const [jobId, expected] of [
    ["a", "a1"],
    ["a", "a2"],
    ["b", "b1"],
  ] as const) {
    tell(world, outbox, jobId);
    expect(await takeAll(outbox)).toEqual([expected]);
  }
  expect(outbox.cursor.position).toBe(0n);
  expect([...outbox.cursor.ahead]).toEqual([
    ["a", 2],
    ["b", 1],
  ]);
  world.assign(10);
  outbox.notePlaced({ ...world.pageAfter(0n, 10), after: 0n });
  expect(await takeAll(outbox)).toEqual([]);
  expect(outbox.cursor).toEqual({ position: 3n, ahead: new Map() });
});

test("an event whose predecessor was not told waits for no position either: the database has the predecessor", async () => {
  const world = new World();
  const outbox = open(world);
  expect(await takeAll(outbox)).toEqual([]);
  for (let event = 1; event <= 3; event += 1) {
    world.append("a");
    world.commit("a");
  }
  outbox.noteLive(world.inFlight.at(-1)!);
  expect(await takeAll(outbox)).toEqual(["a1", "a2", "a3"]);
});

test("a live event that could not be delivered while the database was away is delivered afterwards", async () => {
  const world = new World();
  const outbox = open(world);
  expect(await takeAll(outbox)).toEqual([]);
  world.isAway = true;
  tell(world, outbox, "a");
  await expect(outbox.take()).rejects.toThrow(StoreUnavailableError);
  world.isAway = false;
  expect(await takeAll(outbox)).toEqual(["a1"]);
});

test("while too many jobs are ahead of their positions, further events come with theirs; removed jobs are forgotten", async () => {
  const world = new World();
  const outbox = open(world, { aheadMax: 1 });
  expect(await takeAll(outbox)).toEqual([]);
  tell(world, outbox, "a");
  tell(world, outbox, "b");
  expect(await takeAll(outbox)).toEqual(["a1"]);
  world.remove("a");
  tell(world, outbox, "b");
  expect(await takeAll(outbox)).toEqual(["b1", "b2"]);
  tell(world, outbox, "c");
  expect(await takeAll(outbox)).toEqual([]);
  world.assign(10);
  outbox.notePlaced({ ...world.pageAfter(0n, 10), after: 0n });
  expect(await takeAll(outbox)).toEqual(["c1"]);
});

test("the stream of one job goes on from a sequence, without positions", async () => {
  const world = new World();
  for (let event = 1; event <= 250; event += 1) world.append("a");
  world.commit("a");
  const live = world.inFlight;
  const cursor = { position: 0n, ahead: new Map([["a", 2]]) };
  const backlog = { listUnread: world.listUnread.bind(world), listPlaced: null };
  const outbox = open(world, { cursor, backlog });
  outbox.noteLive(live[4]!);
  expect(await takeAll(outbox)).toEqual(Array.from({ length: 248 }, (_, index) => `a${index + 3}`));
  expect(outbox.sequenceOf("a")).toBe(250);
  tell(world, outbox, "a");
  expect(await takeAll(outbox)).toEqual(["a251"]);
  world.append("a");
  world.commit("a");
  outbox.lookAgain();
  expect(await takeAll(outbox)).toEqual(["a252"]);
});
