import { expect, test } from "@jest/globals";
import { SlotUse } from "./slot-use.ts";

test("a server is busy while it holds one job or more", () => {
  const use = new SlotUse();
  use.noteTaken(1_000, null);
  use.noteTaken(1_500, null);
  use.noteFreed(2_000);
  expect(use.busyMs(2_500)).toBe(1_500);
  use.noteFreed(3_000);
  expect(use.busyMs(9_000)).toBe(2_000);
});

test("a server is idle while a job waits from its last job's end, until the server accepts the next prompt", () => {
  const use = new SlotUse();
  use.noteTaken(0, null);
  use.noteFreed(1_000);
  use.noteTaken(1_200, 60_000);
  expect(use.idleWhileWaitingMs).toBe(0);
  use.noteAccepted(1_300);
  use.noteAccepted(1_400);
  expect(use.idleWhileWaitingMs).toBe(300);
});

test("time before the job could run is not idle time", () => {
  const use = new SlotUse();
  use.noteTaken(0, null);
  use.noteFreed(1_000);
  use.noteTaken(61_000, 50);
  use.noteAccepted(61_010);
  expect(use.idleWhileWaitingMs).toBe(60);
});

test("time in which nothing waited for it, or in which it took no work, is not idle time", () => {
  const use = new SlotUse();
  use.noteTaken(0, null);
  use.noteFreed(1_000);
  use.noteNothingWaited(5_000);
  use.noteNothingWaited(4_000);
  use.noteTaken(5_100, 60_000);
  use.noteAccepted(5_100);
  expect(use.idleWhileWaitingMs).toBe(100);
  use.noteFreed(6_000);
  use.noteUnavailable();
  use.noteTaken(20_000, 60_000);
  use.noteAccepted(20_100);
  expect(use.idleWhileWaitingMs).toBe(100);
});

test("a job that fails before the server accepts it leaves the server idle", () => {
  const use = new SlotUse();
  use.noteNothingWaited(0);
  use.noteTaken(1_000, 400);
  use.noteFreed(1_500);
  expect(use.idleWhileWaitingMs).toBe(900);
  use.noteTaken(1_600, 10_000);
  use.noteAccepted(1_700);
  expect(use.idleWhileWaitingMs).toBe(1_100);
});

test("an adopted prompt was on the server before, so nothing waited for it", () => {
  const use = new SlotUse();
  use.noteNothingWaited(0);
  use.noteTaken(9_000, null);
  use.noteFreed(10_000);
  expect(use.idleWhileWaitingMs).toBe(0);
});
