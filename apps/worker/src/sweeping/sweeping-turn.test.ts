import { expect, test } from "@jest/globals";
import { SweepingTurn } from "./sweeping-turn.ts";

test("a worker that may not requeue for three leases leaves sweeping to others for two, and sweeps again then", () => {
  let now = 0;
  const turn = new SweepingTurn(1_000, () => now);
  const noteAt = (time: number, isBarred: boolean): boolean => {
    now = time;
    return turn.note({ isBarred, hasOthers: true });
  };
  expect(noteAt(0, true)).toBe(false);
  // What may be done in between counts anew.
  expect(noteAt(2_000, false)).toBe(false);
  expect(noteAt(3_000, true)).toBe(false);
  expect(noteAt(5_999, true)).toBe(false);
  expect(turn.isOwn).toBe(true);
  expect(noteAt(6_000, true)).toBe(true);
  expect(turn.isOwn).toBe(false);
  now = 7_999;
  expect(turn.isOwn).toBe(false);
  now = 8_000;
  expect(turn.isOwn).toBe(true);
  expect(noteAt(8_000, true)).toBe(false);
});

test("a worker that is alone goes on sweeping, however long it may not requeue, until there is another one", () => {
  let now = 0;
  const turn = new SweepingTurn(1_000, () => now);
  for (; now <= 10_000; now += 1_000) {
    expect(turn.note({ isBarred: true, hasOthers: false })).toBe(false);
    expect(turn.isOwn).toBe(true);
  }
  expect(turn.note({ isBarred: true, hasOthers: true })).toBe(true);
  expect(turn.isOwn).toBe(false);
});
