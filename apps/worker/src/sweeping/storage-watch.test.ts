import { expect, test } from "@jest/globals";
import { type StorageHold, StorageError } from "@genga/jobs";
import { createLogger } from "@genga/runtime";
import { StorageWatch } from "./storage-watch.ts";

type Noted = StorageHold | string;

/** A storage whose disk has these numbers of free bytes, one for each check; `away` = it cannot be read. */
function watchOf(...disk: (number | "away")[]): {
  watch: StorageWatch;
  noted: Noted[];
  trials: ("works" | "fails")[];
} {
  const noted: Noted[] = [];
  const trials: ("works" | "fails")[] = [];
  const watch = new StorageWatch({
    workerId: "w",
    storage: {
      freeBytes: () => {
        const bytes = disk.shift() ?? 1_000_000;
        return bytes === "away" ? Promise.reject(away("No disk.")) : Promise.resolve(bytes);
      },
      assertWritable: () =>
        trials.shift() === "fails" ? Promise.reject(away("Refused.")) : Promise.resolve(),
    },
    store: {
      noteStorageHold: (hold) => Promise.resolve(void noted.push(hold)),
      noteStorageFree: () => Promise.resolve(void noted.push("free")),
    },
    wantedBytes: 1_000,
    onChange: (problem) => noted.push(problem?.hold ?? "begun"),
    log: createLogger({ name: "test", level: "silent" }),
  });
  return { watch, noted, trials };
}

const away = (message: string, code = "storage-unavailable"): StorageError =>
  new StorageError(code, message, { retryable: true });

async function pass(watch: StorageWatch): Promise<string | null> {
  await watch.check();
  await watch.record();
  return watch.problem?.hold ?? null;
}

test("a worker begins no jobs while the disk has too little free space, and goes on when it has a little more than needed", async () => {
  const { watch, noted } = watchOf(1_000, 999, 1_050, 1_100);
  const seen: (string | null)[] = [];
  for (let check = 0; check < 4; check += 1) seen.push(await pass(watch));
  expect(seen).toEqual([null, "storage-full", "storage-full", null]);
  expect(noted).toEqual([
    "storage-full",
    { workerId: "w", freeBytes: 999, wantedBytes: 1_000, fault: null },
    { workerId: "w", freeBytes: 1_050, wantedBytes: 1_000, fault: null },
    ...["begun", "free"],
  ]);
});

test("a worker begins no jobs while its disk cannot be read, until the storage can be written to", async () => {
  const { watch, noted, trials } = watchOf(1_000, "away", 1_000, 1_000);
  trials.push("fails", "works");
  const seen: (string | null)[] = [];
  for (let check = 0; check < 4; check += 1) seen.push(await pass(watch));
  expect(seen).toEqual([null, "storage-unavailable", "storage-unavailable", null]);
  expect(noted).toEqual([
    "storage-unavailable",
    { workerId: "w", freeBytes: 1_000, wantedBytes: 1_000, fault: "No disk." },
    { workerId: "w", freeBytes: 1_000, wantedBytes: 1_000, fault: "Refused." },
    ...["begun", "free"],
  ]);
});

test("a file that could not be stored stops the worker only if nothing can be stored", async () => {
  const { watch, noted, trials } = watchOf();
  expect(await watch.isAway(away("Empty.", "output-empty"))).toBe(false);
  trials.push("works");
  expect(await watch.isAway(away("Name too long."))).toBe(false);
  expect(noted).toEqual([]);
  trials.push("fails");
  expect(await watch.isAway(away("Access denied.", "storage-refused"))).toBe(true);
  expect(noted).toEqual(["storage-unavailable"]);
});

test("those who wait for the storage go on when it can be written to, when they waited long enough, and when they are stopped", async () => {
  const { watch, trials } = watchOf();
  trials.push("fails");
  await watch.isAway(away("Gone."));
  const never = new AbortController().signal;
  await watch.untilWritable(1, never);
  const stopped = new AbortController();
  const stopping = watch.untilWritable(60_000, stopped.signal);
  stopped.abort(new Error("Stopped."));
  await expect(stopping).rejects.toThrow("Stopped.");
  const waiting = watch.untilWritable(60_000, never);
  await watch.check();
  await waiting;
  await watch.untilWritable(60_000, never);
  expect(watch.problem).toBeNull();
});
