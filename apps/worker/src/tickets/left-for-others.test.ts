import { expect, test } from "@jest/globals";
import { LeftForOthers, leftForOthersMs } from "./left-for-others.ts";

test("a job is left for other workers' servers for some time, counted from the first time", () => {
  const left = new LeftForOthers();
  expect(left.hasWaited("ticket", 0)).toBe(false);
  left.note("ticket", 0);
  left.note("ticket", leftForOthersMs - 1);
  expect(left.hasWaited("ticket", leftForOthersMs - 1)).toBe(false);
  expect(left.hasWaited("ticket", leftForOthersMs)).toBe(true);
  expect(left.hasWaited("another-ticket", leftForOthersMs)).toBe(false);
});

test("a job that got a slot and comes back with the same ticket is left for others as long as before", () => {
  const left = new LeftForOthers();
  left.note("ticket", 0);
  left.forget("ticket");
  left.note("ticket", leftForOthersMs);
  expect(left.hasWaited("ticket", leftForOthersMs + 1)).toBe(false);
});
