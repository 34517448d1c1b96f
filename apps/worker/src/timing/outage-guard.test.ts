import { expect, test } from "@jest/globals";
import { StoreUnavailableError } from "@genga/jobs";
import { LeaseClock } from "../job/lease-clock.ts";
import { OutageGuard } from "./outage-guard.ts";

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
