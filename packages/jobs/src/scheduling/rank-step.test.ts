import { expect, test } from "@jest/globals";
import { aheadMs, rankStep, stepMax, stepMin } from "./rank-step.ts";

test("a job moves its tenant back by its GPU time, in sixteenths of the lane's unit", () => {
  expect(rankStep({ runMs: 2_000, unitMs: 2_000, weight: 1 })).toBe(16);
  expect(rankStep({ runMs: 480_000, unitMs: 480_000, weight: 1 })).toBe(16);
  expect(rankStep({ runMs: 480_000, unitMs: 2_000, weight: 1 })).toBe(3_840);
  expect(rankStep({ runMs: 250, unitMs: 2_000, weight: 1 })).toBe(2);
});

test("a job that takes a small part of the unit moves its tenant back by a fraction", () => {
  expect(rankStep({ runMs: 2_000, unitMs: 640_000, weight: 1 })).toBe(1 / 20);
});

test("the larger a tenant's weight, the smaller its step", () => {
  expect(rankStep({ runMs: 250, unitMs: 250, weight: 8 })).toBe(2);
  expect(rankStep({ runMs: 250, unitMs: 250, weight: 0.5 })).toBe(32);
  expect(rankStep({ runMs: 480_000, unitMs: 250, weight: 0.1 })).toBe(307_200);
});

test("no job is free, and none uses up the ranks", () => {
  expect(rankStep({ runMs: 1, unitMs: 480_000, weight: 16 })).toBe(stepMin);
  expect(rankStep({ runMs: 86_400_000, unitMs: 250, weight: 0.1 })).toBe(stepMax);
});

test("a tenant that is ahead of its share is ahead by GPU time", () => {
  expect(aheadMs(340, 100, 2_000)).toBe(30_000);
  expect(aheadMs(90, 100, 2_000)).toBe(0);
});
