import { describe, expect, test } from "@jest/globals";

import { parsePythonJson } from "./python-json.ts";

describe("JSON as Python writes it", () => {
  test("has bare NaN and Infinity, which are read as null wherever they stand", () => {
    const text = '{"max": Infinity, "min": -Infinity, "list": [NaN, 1, -2.5], "nested": {"value":NaN}}';
    expect(parsePythonJson(text)).toEqual({
      max: null,
      min: null,
      list: [null, 1, -2.5],
      nested: { value: null },
    });
  });

  test("has the same words inside of texts and keys, which stay", () => {
    const text = String.raw`{"NaN": "is NaN", "quoted": "a \" NaN \\", "Infinity": NaN, "lines": "-Infinity\n"}`;
    expect(parsePythonJson(text)).toEqual({
      NaN: "is NaN",
      quoted: 'a " NaN \\',
      Infinity: null,
      lines: "-Infinity\n",
    });
  });

  test.each(["<html>NaN</html>", '{"a": NaN', "nan", '{"a": NaNs}', "undefined", ""])(
    "is not whatever contains such a word: %s",
    (text) => {
      expect(() => parsePythonJson(text)).toThrow(SyntaxError);
    },
  );

  test("is read in one pass, however long a text in it is", () => {
    const long = 'x\\"'.repeat(500_000);
    expect(parsePythonJson(`{"long": "${long}", "value": NaN}`)).toEqual({
      long: 'x"'.repeat(500_000),
      value: null,
    });
  });
});
