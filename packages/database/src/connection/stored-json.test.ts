import { describe, expect, test } from "@jest/globals";
import { isStorable, toStoredJson } from "./stored-json.ts";

describe("JSON for PostgreSQL", () => {
  test.each([
    ["plain", '桜 🌸 \\ " \n \u0001'],
    ["a text that looks like an escape", "\\u0000 \\\\ud83c"],
    ["nested", { list: [1, null, { text: "\\" }] }],
  ])("keeps what can be stored: %s", (_, value) => {
    expect(isStorable(value)).toBe(true);
    expect(JSON.parse(toStoredJson(value))).toEqual(value);
  });

  test.each([
    ["NUL", "a\0b", "a\ufffdb"],
    ["NUL behind a backslash", "\\\0", "\\\ufffd"],
    ["the first half of a pair", "a\ud83c", "a\ufffd"],
    ["the second half of a pair", "\udf38b", "\ufffdb"],
    ["both halves the wrong way round", "\udf38\ud83c", "\ufffd\ufffd"],
  ])("replaces what cannot be stored: %s", (_, given, stored) => {
    expect(isStorable(given)).toBe(false);
    expect(JSON.parse(toStoredJson({ [given]: [given] }))).toEqual({ [stored]: [stored] });
  });
});
