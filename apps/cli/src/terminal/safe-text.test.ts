import { expect, test } from "@jest/globals";
import { safeJson, safeText } from "./safe-text.ts";

test.each([
  ["a hill\nat dawn", "a hill at dawn"],
  ["\u001b]52;c;ZXZpbA==\u0007", "\\u001b]52;c;ZXZpbA==\\u0007"],
  ["\u009b31m", "\\u009b31m"],
  ["gnp\u202e.exe", "gnp\\u202e.exe"],
  ["夕焼け", "夕焼け"],
])("%j is shown as %j", (text, shown) => {
  expect(safeText(text)).toBe(shown);
});

test("JSON holds no character that a terminal obeys, and means the same", () => {
  const value = { prompt: "a\u009b31m b\u202e c\u007f\n" };
  expect(safeJson(value)).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(JSON.parse(safeJson(value))).toEqual(value);
});
