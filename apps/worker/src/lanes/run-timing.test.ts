import { expect, test } from "@jest/globals";
import { RunTiming } from "./run-timing.ts";

test("the time before the first step is told apart from the steps", () => {
  const timing = new RunTiming(1_000);
  timing.noteStep("loader", 1, 1, 1_500);
  timing.noteStep("sampler", 0, 20, 3_000);
  timing.noteStep("sampler", 1, 20, 3_050);
  timing.noteStep("sampler", 20, 20, 4_000);
  timing.noteStep("upscaler", 1, 4, 4_100);
  expect(timing.measured(4_200, undefined)).toEqual({ totalMs: 3_200, leadMs: 2_000 });
});

test("steps before the first that was heard of count as well", () => {
  const timing = new RunTiming(0);
  timing.noteStep("sampler", 5, 10, 1_500);
  timing.noteStep("sampler", 10, 10, 2_000);
  expect(timing.measured(2_100, undefined)).toEqual({ totalMs: 2_100, leadMs: 1_000 });
});

test("without steps only the whole is known", () => {
  const timing = new RunTiming(0);
  timing.noteStep(null, null, null, 5);
  expect(timing.measured(10, undefined)).toEqual({ totalMs: 10, leadMs: null });
});

test("the server's own measure of the whole counts, since messages may arrive late", () => {
  const timing = new RunTiming(0);
  expect(timing.measured(60, 5)).toEqual({ totalMs: 5, leadMs: null });
  timing.noteStep("sampler", 1, 2, 20);
  timing.noteStep("sampler", 2, 2, 30);
  expect(timing.measured(60, 5)).toEqual({ totalMs: 10, leadMs: 10 });
});
