import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { type Place, type TenantAdmissions } from "@genga/jobs";
import { createAdmissions } from "@genga/queue";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { freshPrefix, recordingLogger, testRedisUrl } from "./test-redis.ts";

let prefix: string;
const opened: { close(): Promise<void> }[] = [];

function open(options: { redisUrl?: string; placeLeaseMs?: number } = {}): TenantAdmissions {
  const admissions = createAdmissions({
    redisUrl: testRedisUrl(),
    prefix,
    logger: recordingLogger(),
    ...options,
  });
  opened.push(admissions);
  return admissions;
}

async function openProxy(): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  opened.push(proxy);
  return proxy;
}

/** Resolves once what this process counts is counted in Redis. */
async function untilShared(admissions: TenantAdmissions): Promise<void> {
  const redis = new Redis(testRedisUrl());
  try {
    while ((await redis.keys(`${prefix}:requests:warm*`)).length === 0) {
      await admissions.countRequest("warm", 1_000_000);
      await sleep(10);
    }
    await redis.del(`${prefix}:requests:warm`);
  } finally {
    redis.disconnect();
  }
}

/** The event streams of a tenant that count in Redis, each with the time when its lease ends, by the clock of Redis. */
async function placesOf(tenantId: string): Promise<{ member: string; leaseEndsAt: number }[]> {
  const redis = new Redis(testRedisUrl());
  try {
    const flat = await redis.zrange(`${prefix}:places:event-streams:${tenantId}`, 0, -1, "WITHSCORES");
    const pairs = Array.from({ length: flat.length / 2 }, (_, pair) => flat.slice(2 * pair, 2 * pair + 2));
    return pairs.map(([member, score]) => ({ member: member!, leaseEndsAt: Number(score) }));
  } finally {
    redis.disconnect();
  }
}

beforeEach(() => {
  prefix = freshPrefix();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

test("counts the requests of a minute over all processes, each tenant for itself", async () => {
  const [one, other] = [open(), open()];
  await untilShared(one);
  await untilShared(other);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? one : other).countRequest("studio", 6)),
  );
  const refused = answers.filter((answer) => answer !== null);
  expect(refused).toHaveLength(4);
  for (const { used, retryAfterMs } of refused) {
    expect(used).toBeGreaterThanOrEqual(6);
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  }
  expect(await other.countRequest("rival", 6)).toBeNull();
});

test("gives out no more places than there are, whatever processes race for them, and gets them back", async () => {
  const [one, other] = [open(), open()];
  await untilShared(one);
  await untilShared(other);
  const taken = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? one : other).takePlace("event-streams", "studio", 5),
    ),
  );
  const places = taken.filter((each): each is Place => "release" in each);
  expect(places).toHaveLength(5);
  expect(await one.takePlace("event-streams", "studio", 5)).toEqual({ used: 5 });
  expect(await one.takePlace("requests-at-once", "studio", 5)).toHaveProperty("release");
  expect(await one.takePlace("event-streams", "rival", 5)).toHaveProperty("release");
  places[0]!.release();
  places[0]!.release();
  // The two releases are on their way to Redis; one place becomes free, and no second one.
  while (!("release" in (await other.takePlace("event-streams", "studio", 5))));
  expect(await other.takePlace("event-streams", "studio", 5)).toEqual({ used: 5 });
});

test("counts together what comes together, and refuses only what is too much", async () => {
  const admissions = open();
  await untilShared(admissions);
  const send = (count: number): Promise<({ used: number } | null)[]> =>
    Promise.all(Array.from({ length: count }, () => admissions.countRequest("studio", 6)));
  expect(await send(4)).toEqual([null, null, null, null]);
  const answers = await send(4);
  expect(answers.map((answer) => answer === null)).toEqual([true, true, false, false]);
  expect(answers[3]).toMatchObject({ used: 8 });
  expect(await send(1)).not.toEqual([null]);
});

test("a place that was just released can be taken at once", async () => {
  const admissions = open();
  await untilShared(admissions);
  const place = await admissions.takePlace("event-streams", "studio", 1);
  if (!("release" in place)) throw new Error("There was no place.");
  place.release();
  expect(await admissions.takePlace("event-streams", "studio", 1)).toHaveProperty("release");
  expect(await placesOf("studio")).toHaveLength(1);
});

test("frees the places of a process that died, and keeps those of one that lives", async () => {
  const placeLeaseMs = 1_500;
  const proxy = await openProxy();
  const [dead, alive] = [open({ redisUrl: proxy.url, placeLeaseMs }), open({ placeLeaseMs })];
  await untilShared(dead);
  await untilShared(alive);
  await alive.takePlace("event-streams", "studio", 2);
  const [first] = await placesOf("studio");
  await dead.takePlace("event-streams", "studio", 2);
  expect(await alive.takePlace("event-streams", "studio", 2)).toEqual({ used: 2 });
  await proxy.close();
  while (!("release" in (await alive.takePlace("event-streams", "studio", 2)))) await sleep(20);
  // The first place is still there two leases after it was taken.
  const renewed = async (): Promise<boolean> => {
    const place = (await placesOf("studio")).find(({ member }) => member === first!.member);
    if (place === undefined) throw new Error("The place of the living process was lost.");
    return place.leaseEndsAt >= first!.leaseEndsAt + 2 * placeLeaseMs;
  };
  while (!(await renewed())) await sleep(20);
  expect(await alive.takePlace("event-streams", "studio", 2)).toEqual({ used: 2 });
});

test("counts for itself while Redis is away or silent, and is kept waiting by neither", async () => {
  const nowhere = open({ redisUrl: "redis://127.0.0.1:1" });
  const proxy = await openProxy();
  const silent = open({ redisUrl: proxy.url });
  await untilShared(silent);
  proxy.freeze();
  for (const admissions of [nowhere, silent]) {
    const startedAt = performance.now();
    expect(await admissions.countRequest("studio", 2)).toBeNull();
    expect(await admissions.countRequest("studio", 2)).toBeNull();
    expect(await admissions.countRequest("studio", 2)).toHaveProperty("retryAfterMs");
    expect(await admissions.takePlace("event-streams", "studio", 1)).toHaveProperty("release");
    expect(await admissions.takePlace("event-streams", "studio", 1)).toEqual({ used: 1 });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  }
});
