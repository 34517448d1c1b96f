import { expect, test } from "@jest/globals";
import { OthersPrompts } from "./others-prompts.ts";

test("others may be ahead from the check that found them until a check finds none", () => {
  const others = new OthersPrompts();
  expect(others.mayBeAhead).toBe(false);
  others.noteCheck(true, 10);
  expect(others.mayBeAhead).toBe(true);
  others.noteCheck(false, 20);
  expect(others.mayBeAhead).toBe(false);
});

test("others are gone once a prompt has been executed that was posted after they were seen", () => {
  const others = new OthersPrompts();
  const [before, after] = [{}, {}];
  others.notePost(before, 5);
  others.noteCheck(true, 10);
  others.notePost(after, 15);
  others.noteExecuted(before);
  others.noteExecuted({});
  expect(others.mayBeAhead).toBe(true);
  others.noteExecuted(after);
  expect(others.mayBeAhead).toBe(false);
});
