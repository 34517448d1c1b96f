import { expect, test } from "@jest/globals";
import { type FullDisk } from "@genga/jobs";
import { createLogger } from "@genga/runtime";
import { DiskWatch } from "./disk-watch.ts";

/** A DiskWatch whose disk has these numbers of free bytes, one for each check. */
function watchOf(...bytes: number[]): { watch: DiskWatch; noted: (FullDisk | "room" | "begun")[] } {
  const noted: (FullDisk | "room" | "begun")[] = [];
  const watch = new DiskWatch({
    workerId: "w",
    storage: { freeBytes: () => Promise.resolve(bytes.shift() ?? 0) },
    store: {
      noteFullDisk: (disk) => Promise.resolve(void noted.push(disk)),
      noteRoom: () => Promise.resolve(void noted.push("room")),
    },
    wantedBytes: 1_000,
    onRoom: () => noted.push("begun"),
    log: createLogger({ name: "test", level: "silent" }),
  });
  return { watch, noted };
}

test("a worker begins no jobs while the disk has too little free space, and goes on when it has a little more than needed", async () => {
  const { watch, noted } = watchOf(1_000, 999, 1_050, 1_100);
  const seen: boolean[] = [];
  for (let check = 0; check < 4; check += 1) {
    await watch.tick();
    seen.push(watch.isFull);
  }
  expect(seen).toEqual([false, true, true, false]);
  expect(noted).toEqual([
    { workerId: "w", freeBytes: 999, wantedBytes: 1_000 },
    { workerId: "w", freeBytes: 1_050, wantedBytes: 1_000 },
    "begun",
    "room",
  ]);
});
