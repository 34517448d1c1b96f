import { expect, test } from "@jest/globals";
import { type ServerDevice } from "@genga/jobs";
import { isWorthRecording } from "./device-memory.ts";
import { devicesIn } from "./server-answers.ts";

const gpu = (freeBytes: number): ServerDevice => ({
  ...{ name: "cuda:0 NVIDIA GeForce RTX 4090", type: "cuda", totalBytes: 24_000_000_000 },
  freeBytes,
});
const last = { devices: [gpu(20_000_000_000)], at: 50_000 };

test.each([
  ["what was never recorded", null, [], 0, true],
  ["a clear change after a while", last, [gpu(19_000_000_000)], 60_000, true],
  ["a clear change that comes soon", last, [gpu(1_000_000_000)], 59_999, false],
  ["a small change", last, [gpu(19_900_000_000)], 90_000, false],
  ["no change", last, last.devices, 90_000, false],
  ["another device, at once", last, [{ ...gpu(20_000_000_000), name: "cuda:1" }], 50_001, true],
  ["one device more, at once", last, [...last.devices, gpu(1)], 50_001, true],
  ["no device any more, at once", last, [], 50_001, true],
] as const)("whether to record %s", (_what, recorded, devices, now, is) => {
  expect(isWorthRecording(recorded, devices, now)).toBe(is);
});

test("devices are read from what a server says; those that do not tell their memory are left out", () => {
  const device = { name: "cuda:0", type: "cuda", vram_total: 8, vram_free: 3.5 };
  const stats = {
    system: {},
    devices: [
      device,
      { ...device, vram_free: "much" },
      { name: "x".repeat(500), vram_total: 9, vram_free: 0 },
    ],
  };
  expect(devicesIn(stats)).toEqual([
    { name: "cuda:0", type: "cuda", totalBytes: 8, freeBytes: 3 },
    { name: "x".repeat(100), type: "", totalBytes: 9, freeBytes: 0 },
  ]);
  expect(devicesIn({ devices: "none" })).toEqual([]);
  expect(devicesIn({ devices: Array.from({ length: 99 }, () => device) })).toHaveLength(16);
});
