import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { type LaneHead, ticketId, ticketPriority } from "@genga/jobs";
import { type BullTicketQueue, createTicketQueue, type TicketQueueOptions } from "@genga/queue";
import { startTcpProxy } from "@genga/testing";
import { announce, freshPrefix, recordingLogger, signalOf, testRedisUrl } from "./test-redis.ts";

let prefix: string;
let redis: Redis;
const opened: { close(): Promise<void> }[] = [];

function open(options: Partial<TicketQueueOptions> = {}): BullTicketQueue {
  const tickets = createTicketQueue({
    ...{ redisUrl: testRedisUrl(), prefix, logger: recordingLogger() },
    ...{ lockMs: 2_000, stallCheckMs: 50 },
    ...options,
  });
  opened.push(tickets);
  return tickets;
}

/** Resolves when one of the listener's calls finds the condition true. */
function untilTrue(tickets: BullTicketQueue, condition: () => Promise<boolean>): Promise<void> {
  return signalOf((listener) =>
    tickets.onAvailable(() => {
      void condition().then((isTrue) => {
        if (isTrue) listener();
      });
    }),
  );
}

async function untilNoLane(tickets: BullTicketQueue): Promise<void> {
  while ((await tickets.lanes()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function headOf(tickets: BullTicketQueue, lane: string): Promise<LaneHead | undefined> {
  return (await tickets.lanes()).find((each) => each.lane === lane);
}

function head(lane: string, facts: Omit<LaneHead, "lane" | "waitingSince">): unknown {
  return { lane, waitingSince: expect.any(Date), ...facts };
}

function keysOf(lane: string): Promise<string[]> {
  return redis.keys(`${prefix}:${lane}:*`);
}

beforeEach(() => {
  prefix = freshPrefix();
  redis = new Redis(testRedisUrl());
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(...keys);
  await redis.quit();
});

test("each lane with tickets is told, with their number and the first one's priority", async () => {
  const tickets = open();
  expect(await tickets.lanes()).toEqual([]);
  await tickets.add([
    announce({ lane: "a", rank: 9 }),
    announce({ lane: "a", rank: 4 }),
    announce({ lane: "a", rank: 0, priority: "low" }),
    announce({ lane: "b", priority: "urgent", rank: 2 }),
  ]);
  const other = open();
  for (const queue of [tickets, other]) {
    await untilTrue(queue, async () => (await queue.lanes()).length === 2);
    expect((await queue.lanes()).toSorted((one, two) => one.lane.localeCompare(two.lane))).toEqual([
      head("a", { waiting: 3, waitingInBand: 2, headPriority: ticketPriority("normal", 4) }),
      head("b", { waiting: 1, waitingInBand: 1, headPriority: ticketPriority("urgent", 2) }),
    ]);
  }
  const [lane] = await tickets.lanes();
  await tickets.tick();
  // The break ends with the first look that finds the lane empty.
  await tickets.take(lane!.lane, lane!.waiting);
  await untilTrue(tickets, async () => (await redis.hget(`${prefix}:lanes-since`, lane!.lane)) === null);
});

test("a process that takes no tickets sees new lanes when it asks again", async () => {
  const [api, worker] = [open(), open()];
  expect(await api.lanes()).toEqual([]);
  await worker.add([announce({ lane: "a", priority: "urgent" }), announce({ lane: "a", priority: "low" })]);
  while ((await api.lanes()).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await api.countBands(["a", "b"])).toEqual([
    [1, 0, 0, 1],
    [0, 0, 0, 0],
  ]);
  await redis.del(`${prefix}:lane-keeper`);
  await api.tick();
  expect(await redis.exists(`${prefix}:lane-keeper`)).toBe(0);
});

test("tickets that come back count again: at once, when their delay is over, and from a dead holder", async () => {
  const dead = open({ lockMs: 300 });
  const tickets = open({ lockMs: 300 });
  const priority = ticketPriority("high", 5);
  await tickets.add([announce({ lane: "a", priority: "high", rank: 5 })]);

  const [first] = await tickets.take("a", 1);
  expect(await tickets.lanes()).toEqual([]);
  await tickets.giveBack(first!, { delayMs: 0 });
  expect(await tickets.lanes()).toEqual([
    head("a", { waiting: 1, waitingInBand: 1, headPriority: priority }),
  ]);

  const [second] = await tickets.take("a", 1);
  const back = signalOf((listener) =>
    tickets.onAvailable(() => {
      void tickets.lanes().then((lanes) => {
        if (lanes.length === 1) listener();
      });
    }),
  );
  await tickets.giveBack(second!, { delayMs: 200 });
  await back;
  expect(await tickets.lanes()).toEqual([
    head("a", { waiting: 1, waitingInBand: 1, headPriority: priority }),
  ]);

  await dead.take("a", 1);
  await dead.close();
  await untilTrue(tickets, async () => (await tickets.lanes()).length === 1);
  expect(await headOf(tickets, "a")).toEqual(
    head("a", { waiting: 1, waitingInBand: 1, headPriority: priority }),
  );
  expect(await tickets.take("a", 1)).toHaveLength(1);
}, 180_000);

test("three hundred lanes need no more connections than one", async () => {
  const proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  opened.push(proxy);
  const tickets = open({ redisUrl: proxy.url });
  await tickets.add([announce({ lane: "lane-0" })]);
  await tickets.take("lane-0", 1);
  const connections = proxy.connectionCount();
  const lanes = Array.from({ length: 300 }, (_, index) => `lane-${index}`);
  await tickets.add(lanes.map((lane) => announce({ lane })));
  const taken = await Promise.all(lanes.map((lane) => tickets.take(lane, 5)));
  expect(taken.flat()).toHaveLength(300);
  await Promise.all(taken.flat().map((ticket) => tickets.finish(ticket, { kind: "completed" })));
  expect(proxy.connectionCount()).toBe(connections);
}, 180_000);

test("one message tells of tickets in many lanes", async () => {
  const listening = redis.duplicate();
  const messages: string[] = [];
  listening.on("message", (_channel, message) => messages.push(message));
  await listening.subscribe(`${prefix}:available`, `${prefix}:end`);
  await open().add(["a", "b", "a"].map((lane) => announce({ lane })));
  await redis.publish(`${prefix}:end`, "end");
  while (messages.at(-1) !== "end") await once(listening, "message");
  expect(messages).toEqual(["a b", "end"]);
  await listening.quit();
});

test("the lanes are kept by another process when the one that kept them is dead", async () => {
  const dead = open({ lockMs: 300 });
  await dead.add([announce({ lane: "a" })]);
  await dead.take("a", 1);
  await dead.close();
  // A killed process leaves its lock, which runs out.
  await redis.set(`${prefix}:lane-keeper`, "the dead one", "PX", 1_000);
  await redis.set(`${prefix}:lane-states`, JSON.stringify([1, []]), "PX", 1_000);
  const alive = open({ lockMs: 300 });
  await untilTrue(alive, async () => (await alive.lanes()).length === 1);
  expect(await alive.take("a", 1)).toHaveLength(1);
}, 180_000);

test("a wiped Redis knows the lanes again as soon as tickets are added", async () => {
  const [api, worker] = [open(), open()];
  await api.add([announce({ lane: "a" })]);
  await untilTrue(worker, async () => (await worker.lanes()).length === 1);
  await redis.del(...(await redis.keys(`${prefix}:*`)));
  await untilTrue(worker, async () => {
    if ((await worker.lanes()).length > 0) return false;
    await api.add([announce({ lane: "b" })]);
    return true;
  });
  await untilTrue(worker, async () => (await headOf(worker, "b")) !== undefined);
  expect(await worker.take("b", 1)).toHaveLength(1);
}, 180_000);

test("an empty lane vanishes with its history, and comes back with the next ticket", async () => {
  const tickets = open({ laneEmptyMs: 1 });
  const [done, held] = [announce({ lane: "a", rank: 1 }), announce({ lane: "a", rank: 2 })];
  await tickets.add([done, held, announce()]);
  const [first, second] = await tickets.take("a", 2);
  tickets.report(first!, { percent: 50, line: "half" });
  await tickets.finish(first!, { kind: "completed" });
  await tickets.giveBack(second!, { delayMs: 300 });
  await untilTrue(tickets, async () => (await headOf(tickets, "a")) !== undefined);
  // Until now the lane had a delayed ticket, so its history is still there.
  expect(await redis.exists(`${prefix}:a:${ticketId(done)}`)).toBe(1);
  const [last] = await tickets.take("a", 1);
  await tickets.finish(last!, { kind: "failed", reason: "x" });

  await untilTrue(tickets, async () => (await keysOf("a")).length === 0);
  expect(await redis.zrange(`${prefix}:lanes`, 0, -1)).not.toContain("a");

  await tickets.add([done]);
  expect(await tickets.take("a", 1)).toHaveLength(1);
  expect(await redis.hget(`${prefix}:a:meta`, "opts.maxLenEvents")).toBe("10");
}, 180_000);

test("no ticket is lost while its lane vanishes again and again", async () => {
  const [adding, taking] = [open({ laneEmptyMs: 1 }), open({ laneEmptyMs: 1 })];
  const taken = new Set<string>();
  let vanished = 0;
  for (let round = 0; taken.size < 200; round += 1) {
    if (round < 100) await adding.add([announce({ lane: "a" }), announce({ lane: "a" })]);
    for (const { lane } of await taking.lanes()) {
      for (const ticket of await taking.take(lane, 10)) {
        taken.add(ticketId(ticket));
        await taking.finish(ticket, { kind: "completed" });
      }
    }
    await taking.tick();
    if ((await redis.exists(`${prefix}:a:meta`)) === 0) vanished += 1;
  }
  expect(taken.size).toBe(200);
  expect(vanished).toBeGreaterThan(0);
}, 180_000);

test("streams of events stay short", async () => {
  const tickets = open();
  for (let round = 0; round < 20; round += 1) {
    await tickets.add(Array.from({ length: 50 }, () => announce({ lane: "a" })));
    for (const ticket of await tickets.take("a", 50)) await tickets.finish(ticket, { kind: "completed" });
  }
  expect(await redis.xlen(`${prefix}:a:events`)).toBeLessThan(500);
});

test("a look reads only the lanes in which something has happened, and a few others in their turn", async () => {
  const tickets = open({ stallCheckMs: 60_000 });
  const names = Array.from({ length: 200 }, (_, index) => `lane-${index}`);
  await tickets.add(names.map((lane) => announce({ lane })));
  await untilTrue(tickets, async () => (await tickets.lanes()).length === names.length);
  // Behind the back of all processes: no change is told, so a look cannot know.
  await redis.del(...names.slice(1).map((lane) => `${prefix}:${lane}:prioritized`));
  await tickets.tick();
  expect((await tickets.lanes()).length).toBeGreaterThan(names.length / 2);
  const [taken] = await tickets.take("lane-0", 1);
  // A change that was told shows also to a process that has not changed it.
  const other = open({ stallCheckMs: 60_000 });
  const knowsLane = async (): Promise<boolean> => (await other.lanes()).some(({ lane }) => lane === "lane-0");
  while (await knowsLane()) await new Promise((resolve) => setTimeout(resolve, 20));
  // The others are found in their turn.
  await untilTrue(tickets, async () => (await tickets.lanes()).length < names.length - 20);
  await tickets.finish(taken!, { kind: "completed" });
}, 180_000);

test("a ticket shows whose lane a process of an earlier version noted, which tells of no changes", async () => {
  const tickets = open({ stallCheckMs: 60_000 });
  const names = Array.from({ length: 200 }, (_, index) => `lane-${index}`);
  await tickets.add(names.map((lane) => announce({ lane })));
  await untilTrue(tickets, async () => (await tickets.lanes()).length === names.length);
  const held = (await Promise.all(names.map((lane) => tickets.take(lane, 1)))).flat();
  await untilNoLane(tickets);
  for (const ticket of held) await tickets.finish(ticket, { kind: "completed" });
  // All changes are told and seen.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await tickets.tick();
  // Such a process sends the message, but the next look has nothing to go by.
  await tickets.add(names.map((lane) => announce({ lane })));
  await redis.del(`${prefix}:lanes-changed`);
  await untilTrue(tickets, async () => (await tickets.lanes()).length === names.length);
  await redis.del(`${prefix}:lanes-changed`);
  await tickets.tick();
  expect(await tickets.lanes()).toHaveLength(names.length);
}, 180_000);

test("all lanes are read in their turn within half a minute, however many there are", async () => {
  const lanesCount = 1_000;
  const names = Array.from({ length: lanesCount }, (_, index) => `lane-${index}`);
  const tickets = open({ stallCheckMs: 60_000 });
  await tickets.add(names.map((lane) => announce({ lane })));
  await untilTrue(tickets, async () => (await tickets.lanes()).length === lanesCount);
  await redis.del(...names.map((lane) => `${prefix}:${lane}:prioritized`), `${prefix}:lanes-changed`);
  const before = (await tickets.lanes()).length;
  await tickets.tick();
  expect(before - (await tickets.lanes()).length).toBeGreaterThanOrEqual(lanesCount / 30 - 1);
}, 180_000);

test("many lanes keep fewer finished tickets each", async () => {
  const tickets = open();
  const names = Array.from({ length: 100 }, (_, index) => `lane-${index}`);
  await tickets.add(names.map((lane) => announce({ lane })));
  await tickets.add(Array.from({ length: 24 }, () => announce({ lane: "lane-0" })));
  await untilTrue(tickets, async () => (await tickets.lanes()).length === names.length);
  const [failed, ...taken] = await tickets.take("lane-0", 25);
  for (const ticket of taken) await tickets.finish(ticket, { kind: "completed" });
  await tickets.finish(failed!, { kind: "failed", reason: "test" });
  expect(taken).toHaveLength(24);
  // 1,000 in all, shared by these lanes and the lane default.
  expect(await redis.zcard(`${prefix}:lane-0:completed`)).toBe(9);
  expect(await redis.zcard(`${prefix}:lane-0:failed`)).toBe(1);
});
