import { expect, test } from "@jest/globals";
import { safeText } from "./safe-text.ts";

test.each([
  ["a hill\nat dawn", "a hill at dawn"],
  ["\u001b]52;c;ZXZpbA==\u0007", "\\u001b]52;c;ZXZpbA==\\u0007"],
  ["\u009b31m", "\\u009b31m"],
  ["gnp\u202e.exe", "gnp\\u202e.exe"],
  ["夕焼け", "夕焼け"],
])("%j is shown as %j", (text, shown) => {
  expect(safeText(text)).toBe(shown);
});
