import { expect, test } from "@jest/globals";
import {
  emptyTenantQueue,
  extendQueue,
  rankInSpan,
  spanOf,
  unitsOfLane,
  waitingUnits,
} from "./tenant-queue.ts";
import { rankMax } from "./rank-step.ts";

const dense = (steps: number) => ({ steps, span: steps });

test("a tenant's jobs follow each other, and a tenant without waiting jobs begins at the clock", () => {
  const first = extendQueue(emptyTenantQueue, 0, 0, dense(16));
  expect(first).toEqual({ lastRank: 16, begunRank: 0, backlogUnits: 16 });
  expect(extendQueue(first, 5, 0, dense(160))).toEqual({ lastRank: 176, begunRank: 0, backlogUnits: 176 });
  expect(extendQueue(first, 100, 0, dense(16))).toEqual({ lastRank: 116, begunRank: 100, backlogUnits: 16 });
});

test("jobs that take less than a rank add up, and those that come one by one stand where they would together", () => {
  let queue = emptyTenantQueue;
  for (let job = 0; job < 400; job += 1) queue = extendQueue(queue, 0, 0, dense(1 / 20));
  expect(queue.lastRank).toBeCloseTo(20, 6);
  const together = extendQueue(emptyTenantQueue, 0, 0, dense(20));
  expect(rankInSpan(together.lastRank, 20, 399 * 5, 1_600)).toBe(20);
  expect(rankInSpan(together.lastRank, 20, 5, 1_600)).toBe(0);
});

test("ranks end at the largest number that a row can hold", () => {
  const far = extendQueue({ lastRank: rankMax - 8, begunRank: 0, backlogUnits: 1 }, 0, 0, dense(16));
  expect(rankInSpan(far.lastRank, 16, 500, 2_000)).toBe(rankMax - 4);
  expect(rankInSpan(far.lastRank, 16, 2_000, 2_000)).toBe(rankMax);
  expect(extendQueue(emptyTenantQueue, rankMax, 1e6, dense(16)).begunRank).toBe(rankMax);
});

test("what a tenant has waiting in all lanes stands before its next job of a lane", () => {
  expect(extendQueue(emptyTenantQueue, 100, 320, dense(16)).lastRank).toBe(436);
  expect(
    unitsOfLane(
      [
        { units: 16, unitMs: 8_000 },
        { units: 32, unitMs: 1_000 },
      ],
      2_000,
    ),
  ).toBe(80);
});

test("the waiting part of a backlog falls as the clock passes its ranks", () => {
  const queue = extendQueue(emptyTenantQueue, 100, 0, dense(1_600));
  expect(waitingUnits(queue, 0)).toBe(1_600);
  expect(waitingUnits(queue, 100)).toBe(1_600);
  expect(waitingUnits(queue, 900)).toBe(800);
  expect(waitingUnits(queue, 1_700)).toBe(0);
  expect(waitingUnits(emptyTenantQueue, 0)).toBe(0);
});

test("a flood over many lanes raises ranks by its work, and by no more, so the tenant has one share", () => {
  const queues = new Map<number, typeof emptyTenantQueue>();
  const ranks: number[] = [];
  for (let job = 0; job < 4_000; job += 1) {
    const lane = (job * 7) % 40;
    const waiting = [...queues.values()].map((queue) => ({ units: waitingUnits(queue, 0), unitMs: 1_000 }));
    const queue = queues.get(lane) ?? emptyTenantQueue;
    const next = extendQueue(queue, 0, unitsOfLane(waiting, 1_000), dense(16));
    queues.set(lane, next);
    ranks.push(next.lastRank);
  }
  expect(ranks).toEqual(ranks.map((_rank, index) => 16 * (index + 1)));
});

test("jobs that come together in several lanes take turns with each other", () => {
  const all = [
    { units: 48, unitMs: 1_000 },
    { units: 16, unitMs: 3_000 },
  ];
  expect(spanOf(48, all, 1_000)).toBe(96);
  expect(spanOf(16, all, 3_000)).toBe(32);
  expect(spanOf(16, [{ units: 16, unitMs: 700 }], 700)).toBe(16);
  expect([1_000, 5_000, 6_000].map((workMs) => rankInSpan(100 + 96, 96, workMs, 1_000))).toEqual([
    116, 180, 196,
  ]);
  expect(rankInSpan(100 + 32, 32, 4_000, 3_000)).toBe(121);
});
