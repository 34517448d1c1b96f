import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { ticketId, ticketPriority, TicketsUnavailableError, type HeldTicket } from "@genga/jobs";
import {
  type BullTicketQueue,
  createTicketQueue,
  InvalidLaneError,
  type TicketQueueOptions,
} from "@genga/queue";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { announce, freshPrefix, recordingLogger, signalOf, testRedisUrl } from "./test-redis.ts";

const lane = "default";
let prefix: string;
let redis: Redis;
/** What operators see: the same queue through BullMQ's own eyes. */
let board: Queue;
const opened: { close(): Promise<void> }[] = [];

function open(options: Partial<TicketQueueOptions> = {}): BullTicketQueue {
  const tickets = createTicketQueue({
    redisUrl: testRedisUrl(),
    prefix,
    logger: recordingLogger(),
    ...options,
  });
  opened.push(tickets);
  return tickets;
}

async function openProxy(): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  opened.push(proxy);
  return proxy;
}

/** Tries until the step no longer throws `TicketsUnavailableError`; answers how long that took. */
async function untilAvailable(step: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    try {
      await step();
      return performance.now() - startedAt;
    } catch (error) {
      if (!(error instanceof TicketsUnavailableError) || performance.now() - startedAt > 10_000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function takenOne(tickets: BullTicketQueue): Promise<HeldTicket> {
  const [ticket] = await tickets.take(lane, 1);
  if (ticket === undefined) throw new Error("No ticket was there to be taken.");
  return ticket;
}

/** A key of Redis with all that it holds. */
async function contentOf(key: string): Promise<string> {
  const contents: Record<string, () => Promise<unknown>> = {
    string: () => redis.get(key),
    hash: () => redis.hgetall(key),
    list: () => redis.lrange(key, 0, -1),
    set: () => redis.smembers(key),
    zset: () => redis.zrange(key, 0, -1),
    stream: () => redis.xrange(key, "-", "+"),
  };
  return `${key} ${JSON.stringify(await contents[await redis.type(key)]?.())}`;
}

beforeEach(() => {
  prefix = freshPrefix();
  redis = new Redis(testRedisUrl());
  board = new Queue(lane, { connection: redis, prefix });
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  const keys = await redis.keys(`${prefix}:*`);
  if (keys.length > 0) await redis.del(...keys);
  await board.close();
  await redis.quit();
});

describe("adding and taking", () => {
  test("takes urgent tickets first, then by rank, then in the order of adding", async () => {
    const tickets = open();
    const late = announce({ priority: "normal", rank: 7 });
    const early = announce({ priority: "normal", rank: 1 });
    const earlyToo = announce({ priority: "normal", rank: 1 });
    const low = announce({ priority: "low", rank: 0 });
    const urgent = announce({ priority: "urgent", rank: 900 });
    await tickets.add([low, late, early, earlyToo, urgent]);

    const taken = await tickets.take(lane, 10);

    const wanted = [urgent, early, earlyToo, late, low];
    expect(taken).toEqual(wanted.map(({ jobId, attempt }) => ({ jobId, attempt, ticketNumber: 0, lane })));
    expect(await tickets.take(lane, 10)).toEqual([]);
  });

  test("tickets carry the job's type and nothing but ids", async () => {
    const tickets = open();
    const announcement = announce({ type: "video", attempt: 3 });
    await tickets.add([announcement]);

    const job = await board.getJob(ticketId(announcement));

    expect(job?.name).toBe("video");
    expect(job?.data).toEqual({ jobId: announcement.jobId, attempt: 3, ticketNumber: 0 });
  });

  test("leaves a live ticket alone and replaces a finished one", async () => {
    const tickets = open();
    const announcement = announce();
    await tickets.add([announcement]);
    await tickets.add([announcement]);
    const ticket = await takenOne(tickets);
    await tickets.add([announcement]);
    expect(await tickets.take(lane, 5)).toEqual([]);
    await tickets.finish(ticket, { kind: "failed", reason: "its row was not queued" });

    await tickets.add([announcement]);

    expect(await takenOne(tickets)).toEqual(ticket);
    expect(await board.getFailedCount()).toBe(0);
  });

  test("a job's next ticket is added while a worker still holds the one before", async () => {
    const tickets = open();
    const first = announce();
    await tickets.add([first]);
    const held = await takenOne(tickets);
    await tickets.remove([held]);
    await tickets.add([{ ...first, ticketNumber: 1 }]);
    expect(await tickets.take(lane, 2)).toEqual([{ ...held, ticketNumber: 1 }]);
    await tickets.finish(held, { kind: "dropped", reason: "it was stale" });
    expect(await tickets.findMissing([first, { ...first, ticketNumber: 1 }])).toEqual([first]);
  });

  test("lanes are apart, and a name that Redis keys cannot hold is refused", async () => {
    const tickets = open();
    await tickets.add([announce({ lane: "counterfeit_v3.1-0a" })]);
    expect(await tickets.take(lane, 1)).toEqual([]);
    expect(await tickets.take("counterfeit_v3.1-0a", 1)).toHaveLength(1);
    await expect(tickets.add([announce({ lane: "a:b" })])).rejects.toThrow(InvalidLaneError);
  });

  test("two processes never take the same ticket", async () => {
    const [left, right] = [open(), open()];
    await left.add(Array.from({ length: 60 }, (_, rank) => announce({ rank })));
    const taken = (await Promise.all([left.take(lane, 40), right.take(lane, 40)])).flat();
    expect(new Set(taken.map(ticketId)).size).toBe(60);
    expect(taken).toHaveLength(60);
  });

  test("garbage in the queue is failed with a reason and handed to nobody", async () => {
    const tickets = open();
    const good = announce();
    await board.add("image", { prompt: "1girl" }, { jobId: "nonsense", priority: 1 });
    await board.add("image", { jobId: good.jobId, attempt: 1 }, { jobId: "another-name", priority: 1 });
    await tickets.add([good]);

    expect((await tickets.take(lane, 3)).map(ticketId)).toEqual([ticketId(good)]);

    const failed = await board.getFailed();
    expect(failed.map((job) => job.id).sort()).toEqual(["another-name", "nonsense"]);
    expect(failed.map((job) => job.failedReason).join()).toMatch(/Not a ticket.*Not a ticket/s);
  });

  test("a ticket that was taken together with garbage is handed out, though the garbage cannot be failed", async () => {
    const proxy = await openProxy();
    const tickets = open({ redisUrl: proxy.url, lockMs: 600, stallCheckMs: 100 });
    const good = announce({ priority: "urgent" });
    await tickets.add([good]);
    await board.add("image", { prompt: "1girl" }, { jobId: "nonsense", priority: 2_000_000 });
    const stopWatching = proxy.observe(({ direction, data, connection }) => {
      if (direction === "to-target" && data.includes("Not a ticket")) connection.reset();
    });

    expect((await tickets.take(lane, 2)).map(ticketId)).toEqual([ticketId(good)]);

    stopWatching();
    const other = open({ lockMs: 600, stallCheckMs: 100 });
    while ((await board.getFailedCount()) === 0) {
      await other.take("another-lane", 1);
      expect(await other.take(lane, 5)).toEqual([]);
    }
    expect((await board.getFailed()).map((job) => job.id)).toEqual(["nonsense"]);
  });
});

describe("new priorities", () => {
  test("put waiting tickets into another order, those of equal priority as they were named", async () => {
    const tickets = open();
    const waiting = Array.from({ length: 6 }, (_, index) => announce({ rank: 100 * index }));
    await tickets.add(waiting);
    const reversed = waiting
      .toReversed()
      .map((ticket, index) => ({ ...ticket, rank: Math.floor(index / 2) }));
    await tickets.reprice([...reversed, announce()]);

    const taken = await tickets.take(lane, 10);

    expect(taken.map(ticketId)).toEqual(reversed.map(ticketId));
    const job = await board.getJob(ticketId(reversed[0]!));
    expect(job?.priority).toBe(ticketPriority("normal", 0));
  });

  test("hold for a ticket that is held or delayed from when it waits again", async () => {
    const tickets = open();
    const [first, second, third] = [announce({ rank: 1 }), announce({ rank: 2 }), announce({ rank: 3 })];
    await tickets.add([first, second, third]);
    const [held, delayed] = await tickets.take(lane, 2);
    await tickets.giveBack(delayed!, { delayMs: 30_000 });
    await tickets.reprice([
      { ...first, rank: 9 },
      { ...second, rank: 8 },
    ]);
    await tickets.giveBack(held!, { delayMs: 0 });
    await (await board.getJob(ticketId(second)))?.promote();

    const taken = await tickets.take(lane, 10);

    expect(taken.map(ticketId)).toEqual([third, second, first].map(ticketId));
  });
});

describe("ending a ticket", () => {
  test("Bull Board shows the job's reason, its progress and its lines", async () => {
    const tickets = open();
    await tickets.add([announce({ rank: 1 }), announce({ rank: 2 })]);
    const [good, bad] = await tickets.take(lane, 2);
    tickets.report(good!, { percent: 40.4, line: "step 4 of 10" });
    tickets.report(good!, { percent: 90, line: "step 9 of 10" });

    await tickets.finish(good!, { kind: "completed" });
    await tickets.finish(bad!, { kind: "failed", reason: "KSampler raised: no such sampler" });

    const completed = await board.getJob(ticketId(good!));
    expect(completed).toMatchObject({ progress: 100, returnvalue: null });
    // The lines came within one second: the latest wins.
    expect((await board.getJobLogs(ticketId(good!))).logs).toEqual(["step 9 of 10"]);
    const failed = await board.getJob(ticketId(bad!));
    expect(failed).toMatchObject({ failedReason: "KSampler raised: no such sampler", stacktrace: [] });
    expect(await board.getJobCounts("active", "completed", "failed")).toEqual({
      active: 0,
      completed: 1,
      failed: 1,
    });
  });

  test("a ticket that is gone, finished already or held by another is no error", async () => {
    const tickets = open();
    const strange: HeldTicket = { jobId: "0190", attempt: 1, ticketNumber: 0, lane };
    await tickets.finish(strange, { kind: "completed" });
    await tickets.giveBack(strange, { delayMs: 0 });
    tickets.report(strange, { percent: 1 });

    await tickets.add([announce({ rank: 1 }), announce({ rank: 2 }), announce({ rank: 3 })]);
    const [gone, stolen, wiped] = await tickets.take(lane, 3);
    await redis.del(`${prefix}:${lane}:${ticketId(gone!)}`);
    await redis.set(`${prefix}:${lane}:${ticketId(stolen!)}:lock`, "somebody else");
    await redis.del(`${prefix}:${lane}:${ticketId(wiped!)}:lock`);
    await tickets.finish(gone!, { kind: "completed" });
    await tickets.finish(stolen!, { kind: "failed", reason: "x" });
    await tickets.giveBack(wiped!, { delayMs: 1000 });
    await tickets.finish(stolen!, { kind: "completed" });
    expect(await board.getJobCounts("completed", "failed")).toEqual({ completed: 0, failed: 0 });
  });

  test("a ticket given back waits in its old place", async () => {
    const tickets = open();
    const first = announce({ rank: 1 });
    await tickets.add([first, announce({ rank: 2 })]);
    const ticket = await takenOne(tickets);
    await tickets.giveBack(ticket, { delayMs: 0 });
    expect(await takenOne(tickets)).toEqual(ticket);
  });

  test("a ticket given back with a delay comes back by itself and wakes the listener", async () => {
    const [giver, other] = [open(), open()];
    await giver.add([announce()]);
    const ticket = await takenOne(giver);
    const startedAt = performance.now();
    await giver.giveBack(ticket, { delayMs: 300 });
    expect(await other.take(lane, 1)).toEqual([]);

    await signalOf((listener) => {
      let isFirst = true;
      return other.onAvailable(() => {
        // The first call only says that the subscription became live.
        if (!isFirst || performance.now() - startedAt >= 300) listener();
        isFirst = false;
      });
    });

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295);
    expect(await takenOne(other)).toEqual(ticket);
  });

  test("a ticket put off by a process whose clock is an hour ahead comes back all the same", async () => {
    const [giver, other] = [open(), open()];
    await giver.add([announce()]);
    const ticket = await takenOne(giver);
    const ahead = Date.now() + 3_600_000;
    const clock = jest.spyOn(Date, "now").mockReturnValue(ahead);
    await giver.giveBack(ticket, { delayMs: 300 });
    clock.mockRestore();
    expect(await other.take(lane, 1)).toEqual([]);
    await signalOf((listener) =>
      other.onAvailable(
        () =>
          void board.getDelayedCount().then((left) => {
            if (left === 0) listener();
          }),
      ),
    );
    expect(await takenOne(other)).toEqual(ticket);
  });
});

describe("hearing of tickets", () => {
  test("a ticket added by another process is heard of at once", async () => {
    const [api, worker] = [open(), open()];
    await signalOf((listener) => worker.onAvailable(listener));
    let addedAt = Infinity;
    const heard = new Promise<number>((resolve) => {
      worker.onAvailable(() => {
        if (performance.now() > addedAt) resolve(performance.now());
      });
    });
    addedAt = performance.now();
    await api.add([announce()]);
    expect((await heard) - addedAt).toBeLessThan(500);
  });

  test("one message tells of a whole batch", async () => {
    const listening = redis.duplicate();
    const messages: string[] = [];
    listening.on("message", (_channel, message) => messages.push(message));
    await listening.subscribe(`${prefix}:available`, `${prefix}:end`);
    await open().add(Array.from({ length: 2500 }, (_, rank) => announce({ rank })));
    await redis.publish(`${prefix}:end`, "end");
    while (messages.at(-1) !== "end") await once(listening, "message");
    expect(messages).toEqual([lane, "end"]);
    await listening.quit();
  });

  test("a lost message is made up for by looking", async () => {
    const worker = open();
    await signalOf((listener) => worker.onAvailable(listener));
    const heard = signalOf((listener) => worker.onAvailable(listener));
    await heard;
    const looked = signalOf((listener) => {
      let calls = 0;
      return worker.onAvailable(() => {
        calls += 1;
        if (calls > 1) listener();
      });
    });
    // BullMQ itself publishes nothing on our channel.
    await board.add("image", { jobId: "j", attempt: 1 }, { jobId: "j-1", priority: 1 });
    await looked;
    expect(await worker.take(lane, 1)).toHaveLength(1);
  });
});

describe("a holder that dies", () => {
  test("its ticket comes back, before all others, once its lock has run out", async () => {
    const dead = open({ lockMs: 600, stallCheckMs: 100 });
    const alive = open({ lockMs: 600, stallCheckMs: 100 });
    await dead.add([announce({ rank: 1 }), announce({ rank: 2 })]);
    const ticket = await takenOne(dead);
    await alive.take("another-lane", 1);
    await dead.close();
    const second = await takenOne(alive);
    await signalOf((listener) => {
      let isFirst = true;
      return alive.onAvailable(() => {
        if (!isFirst) listener();
        isFirst = false;
      });
    });
    expect(await takenOne(alive)).toEqual(ticket);
    expect(second).not.toEqual(ticket);
  });

  test("a living holder keeps its ticket for many lock lengths", async () => {
    const holder = open({ lockMs: 1_000, stallCheckMs: 50 });
    const other = open({ lockMs: 1_000, stallCheckMs: 50 });
    await holder.add([announce()]);
    const ticket = await takenOne(holder);
    const [lock] = await redis.keys(`${prefix}:*:lock`);
    const taken: string[] = [];
    // Three renewals come in each length of the lock. At a renewal, the time that is left rises.
    for (let renewals = 0, leftMs = 0; renewals < 9;) {
      taken.push(...(await other.take(lane, 1)).map(ticketId));
      const nowLeftMs = await redis.pttl(lock!);
      if (nowLeftMs < 0) throw new Error("Nobody holds the ticket.");
      if (nowLeftMs > leftMs) renewals += 1;
      leftMs = nowLeftMs;
    }
    expect(taken).toEqual([]);
    await holder.finish(ticket, { kind: "completed" });
    expect(await board.getCompletedCount()).toBe(1);
  });
});

describe("many tickets", () => {
  test("ten thousand are removed in about a second, held ones excepted", async () => {
    const tickets = open();
    const announcements = Array.from({ length: 10_000 }, (_, rank) => announce({ rank }));
    await tickets.add(announcements);
    const [held, givenBack, delayed, finished] = await tickets.take(lane, 4);
    if (held === undefined) throw new Error("No ticket was there to be taken.");
    await tickets.giveBack(givenBack!, { delayMs: 0 });
    await tickets.giveBack(delayed!, { delayMs: 60_000 });
    await tickets.finish(finished!, { kind: "failed", reason: "cancelled" });
    const startedAt = performance.now();
    await tickets.remove(announcements);
    const tookMs = performance.now() - startedAt;
    const counts = await board.getJobCounts("prioritized", "active", "delayed", "wait", "failed");
    expect(counts).toEqual({ prioritized: 0, active: 1, delayed: 0, wait: 0, failed: 0 });
    const ids = announcements.map((ticket) => `${prefix}:${lane}:${ticketId(ticket)}`);
    expect(await redis.exists(...ids)).toBe(1);
    await tickets.finish(held, { kind: "completed" });
    expect(tookMs).toBeLessThan(5000);
  }, 180_000);

  test("finished ones are removed without a trace", async () => {
    const tickets = open();
    const [completed, failed, dropped, never] = [1, 2, 3, 4].map((rank) => announce({ rank }));
    await tickets.add([completed!, failed!, dropped!]);
    const taken = await tickets.take(lane, 3);
    tickets.report(taken[0]!, { percent: 50, line: "half" });
    await tickets.finish(taken[0]!, { kind: "completed" });
    await tickets.finish(taken[1]!, { kind: "failed", reason: "the prompt was a secret" });
    await tickets.finish(taken[2]!, { kind: "dropped", reason: "its job wanted no work any more" });
    await tickets.remove([completed!, failed!, dropped!, never!]);
    const told = await Promise.all((await redis.keys(`${prefix}:*`)).map((key) => contentOf(key)));
    for (const { jobId } of taken) expect(told.join("\n")).not.toContain(jobId);
    expect(told.join("\n")).not.toContain("secret");
    expect(await board.getJobCounts("completed", "failed")).toEqual({ completed: 0, failed: 0 });
  });

  test("finds those without a live ticket", async () => {
    const tickets = open();
    const [waiting, active, delayed, finished, never] = [1, 2, 3, 4, 5].map((rank) => announce({ rank }));
    await tickets.add([active!, delayed!, finished!]);
    const [, second, third] = await tickets.take(lane, 3);
    await tickets.giveBack(second!, { delayMs: 60_000 });
    await tickets.finish(third!, { kind: "completed" });
    await tickets.add([waiting!]);
    const missing = await tickets.findMissing([waiting!, active!, delayed!, finished!, never!]);
    expect(missing).toEqual([finished, never]);
  });
});

describe("Redis in trouble", () => {
  test("everything fails at once while Redis cannot be reached from the start, and works soon after", async () => {
    const proxy = await openProxy();
    await proxy.cut();
    const logger = recordingLogger();
    const tickets = open({ redisUrl: proxy.url, logger });
    await expect(tickets.add([announce()])).rejects.toThrow(TicketsUnavailableError);
    const startedAt = performance.now();
    await expect(tickets.take(lane, 1)).rejects.toThrow(TicketsUnavailableError);
    await expect(tickets.findMissing([announce()])).rejects.toThrow(TicketsUnavailableError);
    await expect(tickets.remove([announce()])).rejects.toThrow(TicketsUnavailableError);
    await expect(tickets.wasWiped()).rejects.toThrow(TicketsUnavailableError);
    await expect(tickets.ping()).rejects.toThrow(TicketsUnavailableError);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await proxy.restore();
    expect(await untilAvailable(() => tickets.add([announce()]))).toBeLessThan(2000);
    expect(await tickets.take(lane, 1)).toHaveLength(1);
    const outages = logger.lines.filter(({ message }) => message.includes("not reachable"));
    expect(outages).toHaveLength(1); // Not one for each connection or try.
  });

  test("a consumer pulls again within two seconds of Redis being back", async () => {
    const proxy = await openProxy();
    const tickets = open({ redisUrl: proxy.url });
    const producer = open();
    await signalOf((listener) => tickets.onAvailable(listener));
    await proxy.cut();
    await expect(tickets.take(lane, 1)).rejects.toThrow(TicketsUnavailableError);
    await producer.add([announce()]);
    const heard = signalOf((listener) => tickets.onAvailable(listener));
    const restoredAt = performance.now();
    await proxy.restore();
    await heard;
    // The connection that takes may be back a moment after the one that hears.
    let taken: unknown[] = [];
    await untilAvailable(async () => {
      taken = await tickets.take(lane, 1);
    });
    expect(taken).toHaveLength(1);
    expect(performance.now() - restoredAt).toBeLessThan(2000);
  });

  test("a half-open connection is noticed, left and replaced", async () => {
    const proxy = await openProxy();
    const tickets = open({ redisUrl: proxy.url });
    const producer = open();
    await tickets.ping();
    proxy.freeze();
    const startedAt = performance.now();
    await expect(tickets.take(lane, 1)).rejects.toThrow(TicketsUnavailableError);
    expect(performance.now() - startedAt).toBeLessThan(6000);
    await producer.add([announce()]);
    proxy.thaw();
    const heard = signalOf((listener) => tickets.onAvailable(listener));
    await heard;
    expect(await untilAvailable(() => tickets.take(lane, 0))).toBeLessThan(3500);
    await producer.add([announce()]);
    expect((await tickets.take(lane, 5)).length).toBeGreaterThan(0);
  }, 180_000);

  test("a frozen subscription does not leave the consumer deaf", async () => {
    const proxy = await openProxy();
    const tickets = open({ redisUrl: proxy.url });
    const producer = open();
    await signalOf((listener) => tickets.onAvailable(listener));
    const before = proxy.connectionCount();
    proxy.freeze();
    // Both connections are given up and made anew.
    while (proxy.connectionCount() < before + 2) await new Promise((resolve) => setTimeout(resolve, 20));
    proxy.thaw();
    const heard = signalOf((listener) => {
      let calls = 0;
      return tickets.onAvailable(() => {
        calls += 1;
        if (calls > 1) listener();
      });
    });
    await producer.add([announce()]);
    await heard;
  }, 180_000);

  test("a ticket held through a short outage is still held", async () => {
    const proxy = await openProxy();
    const tickets = open({ redisUrl: proxy.url, lockMs: 6000, stallCheckMs: 100 });
    await tickets.add([announce()]);
    const ticket = await takenOne(tickets);
    await proxy.cut();
    tickets.report(ticket, { percent: 50 });
    await proxy.restore();
    await untilAvailable(() => tickets.ping());
    await tickets.finish(ticket, { kind: "completed" });
    expect(await board.getCompletedCount()).toBe(1);
  });

  test("a wiped Redis is known by its missing sentinel", async () => {
    const tickets = open();
    expect(await tickets.wasWiped()).toBe(true);
    await tickets.rememberSentinel();
    expect(await tickets.wasWiped()).toBe(false);
    await redis.del(`${prefix}:sentinel`);
    expect(await tickets.wasWiped()).toBe(true);
  });

  test("health tells how Redis is", async () => {
    const health = await open().ping();
    expect(health).toMatchObject({ evictionPolicy: "noeviction", version: expect.stringMatching(/^\d+\./) });
    expect(health.latencyMs).toBeGreaterThan(0);
  });
});
