import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { type SignalTopics } from "@genga/jobs";
import { createSignals, type RedisSignals } from "@genga/queue";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { freshPrefix, recordingLogger, testRedisUrl } from "./test-redis.ts";

let prefix: string;
const opened: { close(): Promise<void> }[] = [];

function open(redisUrl: string = testRedisUrl()): RedisSignals {
  const signals = createSignals({ redisUrl, prefix, logger: recordingLogger() });
  opened.push(signals);
  return signals;
}

async function openProxy(): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  opened.push(proxy);
  return proxy;
}

/** A listener and the promise of its next call. */
function mailbox<Message>(): { listener: (message: Message) => void; next: () => Promise<Message> } {
  const arrived: Message[] = [];
  const waiting: ((message: Message) => void)[] = [];
  return {
    listener: (message) => {
      const waiter = waiting.shift();
      if (waiter === undefined) arrived.push(message);
      else waiter(message);
    },
    next: () => {
      const message = arrived.shift();
      return message === undefined
        ? new Promise((resolve) => waiting.push(resolve))
        : Promise.resolve(message);
    },
  };
}

const progressSignal: SignalTopics["job"] = {
  kind: "progress",
  jobId: "j",
  batchId: null,
  tenantId: "t",
  attempt: 2,
  phase: "executing",
  progress: {
    percent: 41.5,
    node: "3",
    nodeTitle: "KSampler",
    step: 8,
    steps: 20,
    nodesDone: 4,
    nodesTotal: 7,
    remainingLowMs: 900,
    remainingHighMs: 1_500,
  },
};

beforeEach(() => {
  prefix = freshPrefix();
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

test("what one process publishes, every other one hears, topic by topic", async () => {
  const [sender, left, right] = [open(), open(), open()];
  const [jobsLeft, jobsRight, cancels] = [
    mailbox<SignalTopics["job"]>(),
    mailbox<SignalTopics["job"]>(),
    mailbox<SignalTopics["cancel"]>(),
  ];
  await left.subscribe("job", jobsLeft.listener);
  await right.subscribe("job", jobsRight.listener);
  await right.subscribe("cancel", cancels.listener);
  const event: SignalTopics["job"] = {
    kind: "event",
    jobId: "j",
    batchId: "b",
    tenantId: "t",
    status: "failed",
    event: {
      jobId: "j",
      sequence: 4,
      type: "failed",
      attempt: 1,
      data: { failure: { code: "node-failed", lines: ["a", null, 1.5, true] } },
      createdAt: "2026-11-22T17:00:00.000Z",
    },
  };

  sender.publish("job", event);
  sender.publish("job", progressSignal);
  sender.publish("cancel", { jobIds: ["j", "k"] });

  expect(await jobsLeft.next()).toEqual(event);
  expect(await jobsLeft.next()).toEqual(progressSignal);
  expect(await jobsRight.next()).toEqual(event);
  expect(await cancels.next()).toEqual({ jobIds: ["j", "k"] });
});

test("a subscription ends without disturbing another one of the same topic", async () => {
  const signals = open();
  const [ended, kept] = [mailbox<SignalTopics["cancel"]>(), mailbox<SignalTopics["cancel"]>()];
  const end = await signals.subscribe("cancel", ended.listener);
  await signals.subscribe("cancel", kept.listener);
  end();
  end();
  signals.publish("cancel", { jobIds: ["x"] });
  expect(await kept.next()).toEqual({ jobIds: ["x"] });
  const nothing = Symbol("nothing");
  expect(await Promise.race([ended.next(), Promise.resolve(nothing)])).toBe(nothing);
});

test("what a process of an earlier version says of a job is heard, though it does not say whose job it is", async () => {
  const signals = open();
  const jobs = mailbox<SignalTopics["job"]>();
  await signals.subscribe("job", jobs.listener);
  const redis = new Redis(testRedisUrl());
  await redis.publish(`${prefix}:signal:job`, JSON.stringify({ ...progressSignal, tenantId: undefined }));
  await redis.quit();
  expect(await jobs.next()).toEqual({ ...progressSignal, tenantId: null });
});

test("garbage is counted and reaches nobody", async () => {
  const signals = open();
  const cancels = mailbox<SignalTopics["cancel"]>();
  await signals.subscribe("cancel", cancels.listener);
  const redis = new Redis(testRedisUrl());
  await redis.publish(`${prefix}:signal:cancel`, "not json");
  await redis.publish(`${prefix}:signal:cancel`, '{"jobIds":[1]}');
  await redis.publish(`${prefix}:signal:cancel`, '{"jobIds":["good"]}');
  await redis.quit();
  expect(await cancels.next()).toEqual({ jobIds: ["good"] });
  expect(signals.counts()).toEqual({ dropped: 0, malformed: 2 });
});

test("a listener that raises does not silence the others", async () => {
  const signals = open();
  const cancels = mailbox<SignalTopics["cancel"]>();
  await signals.subscribe("cancel", () => {
    throw new Error("a bug in a listener");
  });
  await signals.subscribe("cancel", cancels.listener);
  signals.publish("cancel", { jobIds: ["x"] });
  expect(await cancels.next()).toEqual({ jobIds: ["x"] });
});

test("while Redis is away signals are dropped and counted; afterwards subscribers are told that they may have missed some", async () => {
  const proxy = await openProxy();
  const signals = open(proxy.url);
  const other = open();
  const cancels = mailbox<SignalTopics["cancel"]>();
  const reconnects = mailbox<undefined>();
  await signals.subscribe("cancel", cancels.listener, () => {
    reconnects.listener(undefined);
  });
  await proxy.cut();
  signals.publish("cancel", { jobIds: ["lost"] });
  other.publish("cancel", { jobIds: ["missed"] });
  const reconnected = reconnects.next();
  await proxy.restore();
  await reconnected;
  expect(signals.counts().dropped).toBe(1);
  other.publish("cancel", { jobIds: ["heard"] });
  expect(await cancels.next()).toEqual({ jobIds: ["heard"] });
});

test("a subscription made while Redis is away becomes live when it is back", async () => {
  const proxy = await openProxy();
  await proxy.cut();
  const signals = open(proxy.url);
  const cancels = mailbox<SignalTopics["cancel"]>();
  const subscribed = signals.subscribe("cancel", cancels.listener);
  await proxy.restore();
  await subscribed;
  open().publish("cancel", { jobIds: ["x"] });
  expect(await cancels.next()).toEqual({ jobIds: ["x"] });
});

test("closing ends a subscription that never became live", async () => {
  const proxy = await openProxy();
  await proxy.cut();
  const signals = open(proxy.url);
  const subscribed = signals.subscribe("cancel", () => undefined);
  await signals.close();
  (await subscribed)();
});
