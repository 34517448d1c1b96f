import { expect, test } from "@jest/globals";
import { emptyTenantQueue, extendQueue, unitsElsewhere, waitingUnits } from "./tenant-queue.ts";

test("a tenant's jobs follow each other, and a tenant without waiting jobs begins at the clock", () => {
  const first = extendQueue(emptyTenantQueue, 0, 0, 16);
  expect(first).toEqual({ lastRank: 16, begunRank: 0, backlogUnits: 16 });
  expect(extendQueue(first, 5, 0, 160)).toEqual({ lastRank: 176, begunRank: 0, backlogUnits: 176 });
  expect(extendQueue(first, 100, 0, 16)).toEqual({ lastRank: 116, begunRank: 100, backlogUnits: 16 });
});

test("what a tenant has waiting in other lanes stands before its first job of a lane", () => {
  expect(extendQueue(emptyTenantQueue, 100, 320, 16).lastRank).toBe(436);
  expect(
    unitsElsewhere(
      [
        { units: 16, runMs: 8_000 },
        { units: 32, runMs: 1_000 },
      ],
      2_000,
    ),
  ).toBe(80);
});

test("the waiting part of a backlog falls as the clock passes its ranks", () => {
  const queue = extendQueue(emptyTenantQueue, 100, 0, 1_600);
  expect(waitingUnits(queue, 0)).toBe(1_600);
  expect(waitingUnits(queue, 100)).toBe(1_600);
  expect(waitingUnits(queue, 900)).toBe(800);
  expect(waitingUnits(queue, 1_700)).toBe(0);
  expect(waitingUnits(emptyTenantQueue, 0)).toBe(0);
});

test("a flood over many lanes raises ranks by its work, and by no more", () => {
  const queues = new Map<number, typeof emptyTenantQueue>();
  const waiting = (except: number) =>
    [...queues].flatMap(([lane, queue]) =>
      lane === except ? [] : { units: waitingUnits(queue, 0), runMs: 1_000 },
    );
  for (let job = 0; job < 4_000; job += 1) {
    const lane = (job * 7) % 40;
    const elsewhere = unitsElsewhere(waiting(lane), 1_000);
    queues.set(lane, extendQueue(queues.get(lane) ?? emptyTenantQueue, 0, elsewhere, 16));
  }
  const total = [...queues.values()].reduce((sum, queue) => sum + waitingUnits(queue, 0), 0);
  expect(total).toBe(4_000 * 16);
  for (const { lastRank } of queues.values()) expect(lastRank).toBeLessThanOrEqual(4_000 * 16);
});
