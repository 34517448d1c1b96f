import { expect, test } from "@jest/globals";
import { StoreUnavailableError } from "@genga/jobs";
import { LeaseClock } from "../job/lease-clock.ts";
import { OutageGuard } from "./outage-guard.ts";
import { OwnSilence } from "./own-silence.ts";

test("no worker takes jobs over for one lease length after the database was unavailable", async () => {
  let now = 0;
  const guard = new OutageGuard(12_000, () => now);
  expect(guard.mayTakeOver).toBe(true);
  await expect(
    guard.watch(Promise.reject(new StoreUnavailableError(new Error("refused")))),
  ).rejects.toThrow();
  now = 11_999;
  expect(guard.mayTakeOver).toBe(false);
  now = 12_000;
  expect(guard.mayTakeOver).toBe(true);
});

test("no worker takes jobs over for one lease length after it stood still itself, long enough to lose a lease", () => {
  let now = 0;
  const guard = new OutageGuard(12_000, () => now);
  guard.silence.beat();
  for (now = 0; now <= 60_000; now += 250) guard.silence.beat();
  expect(guard.mayTakeOver).toBe(true);
  // Nothing has called `beat` yet when a pass asks.
  now += 8_000;
  const wokeAt = now;
  expect([guard.mayTakeOver, guard.mayTakeOverFrom]).toEqual([false, wokeAt + 12_000]);
  expect(guard.silence.longestMsSince(wokeAt - 4_000)).toBeGreaterThanOrEqual(8_000);
  while (now < wokeAt + 12_000) {
    now += 250;
    guard.silence.beat();
  }
  expect(guard.mayTakeOver).toBe(true);
  expect(guard.silence.longestMsSince(wokeAt)).toBe(0);
});

test("a worker that is short of processor time now and then still takes over", () => {
  let now = 0;
  const guard = new OutageGuard(12_000, () => now);
  for (let beats = 0; beats < 100; beats += 1, now += 5_000) guard.silence.beat();
  expect(guard.mayTakeOver).toBe(true);
});

test("a long silence is remembered, however many short ones follow", () => {
  let now = 0;
  const silence = new OwnSilence(() => now);
  silence.beat();
  now = 40_000;
  silence.beat();
  for (let count = 0; count < 2_000; count += 1) {
    now += 600 + (count % 7) * 100;
    silence.beat();
  }
  expect(silence.endOfLast(30_000)).toBe(40_000);
  expect(silence.longestMsSince(40_000)).toBe(1_200);
});

test("requests that fail while this process stands still are repeated, but not for ever", async () => {
  let now = 0;
  const silence = new OwnSilence(() => now);
  silence.beat();
  const { signal } = new AbortController();
  let calls = 0;
  const failing = (tookMs: readonly number[]) => () => {
    now += tookMs[calls] ?? 0;
    calls += 1;
    return calls > tookMs.length ? Promise.resolve() : Promise.reject(new Error(`failed ${calls}`));
  };
  await silence.repeatIfLate(failing([5_000, 5_000]), signal);
  calls = 0;
  await expect(silence.repeatIfLate(failing([5_000, 5_000, 5_000]), signal)).rejects.toThrow("failed 3");
  calls = 0;
  await expect(silence.repeatIfLate(failing([400]), signal)).rejects.toThrow("failed 1");
  calls = 0;
  await expect(silence.repeatIfLate(failing([5_000]), AbortSignal.abort())).rejects.toThrow("failed 1");
});

test("other errors do not stop take-overs", async () => {
  const guard = new OutageGuard(12_000, () => 0);
  await expect(guard.watch(Promise.reject(new Error("another")))).rejects.toThrow("another");
  expect(guard.mayTakeOver).toBe(true);
});

test("a lease is counted from before its renewal was sent, and never shortened by a late answer", () => {
  const lease = new LeaseClock(12_000, 1_000);
  expect(lease.leftMs(1_000)).toBe(12_000);
  lease.renewed(5_000);
  lease.renewed(3_000);
  expect(lease.leftMs(6_000)).toBe(11_000);
});
