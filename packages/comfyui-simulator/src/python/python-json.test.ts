import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { JsonDecodeError, parsePythonJson, stringifyPythonJson } from "./python-json.ts";
import {
  floatRepr,
  PythonFloat,
  pythonRepr,
  toPythonFloat,
  toPythonInt,
  type PythonValue,
} from "./python-values.ts";

describe("JSON as Python reads and writes it", () => {
  test.each([
    ["2", "2"],
    ["2.0", "2.0"],
    ["1e3", "1000.0"],
    ["18446744073709551615", "18446744073709551615"],
    ["9007199254740993", "9007199254740993"],
    ["NaN", "NaN"],
    ["-Infinity", "-Infinity"],
    ['{"b":1,"a":[true,null]}', '{"b": 1, "a": [true, null]}'],
    ['{"2":0,"1":0}', '{"2": 0, "1": 0}'],
    ['"é日\\u007f\\n"', '"\\u00e9\\u65e5\\u007f\\n"'],
    ["1e16", "1e+16"],
    ["0.00001", "1e-05"],
  ])("%s becomes %s", (text, expected) => {
    expect(stringifyPythonJson(parsePythonJson(text))).toBe(expected);
  });

  test.each(["", "{", "[1,]", "{'a':1}", "01", "1.", "nul", '"a\nb"', "[1] x", '{"a" 1}', '"\\x"', "tru e"])(
    "%j is refused",
    (text) => {
      expect(() => parsePythonJson(text)).toThrow(JsonDecodeError);
    },
  );

  test("agrees with JSON.parse on everything that JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const written = JSON.stringify(value);
        expect(JSON.parse(stringifyPythonJson(parsePythonJson(written)))).toEqual(JSON.parse(written));
      }),
      { numRuns: 300 },
    );
  });

  test("gives up on nesting that Python would not follow", () => {
    expect(() => parsePythonJson("[".repeat(2_000))).toThrow("maximum recursion depth");
  });
});

describe("Python's conversions", () => {
  test.each<[PythonValue, number | bigint]>([
    ["96", 96],
    [" 1_000 ", 1000],
    [new PythonFloat(96.7), 96],
    [new PythonFloat(-96.7), -96],
    [true, 1],
    ["18446744073709551616", 18446744073709551616n],
  ])("int(%p) is %p", (value, expected) => {
    expect(toPythonInt(value)).toBe(expected);
  });

  test.each<[PythonValue, string]>([
    ["abc", "invalid literal for int() with base 10: 'abc'"],
    ["96.5", "invalid literal for int() with base 10: '96.5'"],
    [null, "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"],
    [new PythonFloat(NaN), "cannot convert float NaN to integer"],
  ])("int(%p) raises", (value, message) => {
    expect(() => toPythonInt(value)).toThrow(message);
  });

  test("float() reads what Python reads", () => {
    expect([" 8.5 ", "1e3", "inf", "-Infinity", "1_0.5"].map((text) => toPythonFloat(text).value)).toEqual([
      8.5,
      1000,
      Infinity,
      -Infinity,
      10.5,
    ]);
    expect(() => toPythonFloat("0x10")).toThrow("could not convert string to float: '0x10'");
  });

  test("repr() chooses its quotes and shows floats as floats", () => {
    expect(pythonRepr(["it's", 'a "b"', null, true, new PythonFloat(2)])).toBe(
      `["it's", 'a "b"', None, True, 2.0]`,
    );
    expect([1e22, 1e-7, 0.1, -0, 123456789.123].map(floatRepr)).toEqual([
      "1e+22",
      "1e-07",
      "0.1",
      "-0.0",
      "123456789.123",
    ]);
  });
});
