import { expect, test } from "@jest/globals";
import { aheadMs, rankStep, stepMax } from "./rank-step.ts";

test("a step is the job's GPU time, in sixteenths of the lane's usual run", () => {
  expect(rankStep({ runMs: 2_000, laneRunMs: 2_000, weight: 1 })).toBe(16);
  expect(rankStep({ runMs: 480_000, laneRunMs: 480_000, weight: 1 })).toBe(16);
  expect(rankStep({ runMs: 480_000, laneRunMs: 2_000, weight: 1 })).toBe(3_840);
  expect(rankStep({ runMs: 250, laneRunMs: 2_000, weight: 1 })).toBe(2);
});

test("a heavier tenant's jobs have smaller steps", () => {
  expect(rankStep({ runMs: 250, laneRunMs: 250, weight: 8 })).toBe(2);
  expect(rankStep({ runMs: 250, laneRunMs: 250, weight: 0.5 })).toBe(32);
});

test("a step is at least 1, so that a tenant's jobs keep their order, and at most a sixteenth of the window", () => {
  expect(rankStep({ runMs: 1, laneRunMs: 60_000, weight: 16 })).toBe(1);
  expect(rankStep({ runMs: 86_400_000, laneRunMs: 250, weight: 0.1 })).toBe(stepMax);
});

test("a tenant is ahead of its share by the GPU time between the clock and its rank", () => {
  expect(aheadMs(340, 100, 2_000)).toBe(30_000);
  expect(aheadMs(90, 100, 2_000)).toBe(0);
});
