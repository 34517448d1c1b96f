import { describe, expect, test } from "@jest/globals";
import { rawElements, rawMembers, rewriteStrings } from "./raw-json.ts";

describe("the members of an object", () => {
  test("are given as they are written", () => {
    const text =
      ' { "a": 1.0, "b" : {"x": [1, {"y": "}"}], "z": "a\\"b,"}, "c":NaN,"d": [], "e\\u0041": "t" } ';
    expect([...rawMembers(text)]).toEqual([
      ["a", "1.0"],
      ["b", '{"x": [1, {"y": "}"}], "z": "a\\"b,"}'],
      ["c", "NaN"],
      ["d", "[]"],
      ["eA", '"t"'],
    ]);
  });

  test("are none of an empty object, and there are none of a list", () => {
    expect(rawMembers("{ }").size).toBe(0);
    expect(() => rawMembers("[{}]")).toThrow(SyntaxError);
  });
});

test("the elements of a list are given as they are written", () => {
  expect(rawElements(' [ {"a": [1.0, "]"]} ,NaN, "b,]" , [], 2 ] ')).toEqual([
    ...['{"a": [1.0, "]"]}', "NaN", '"b,]"', "[]", "2"],
  ]);
  expect(rawElements("[ ]")).toEqual([]);
  expect(() => rawElements("{}")).toThrow(SyntaxError);
});

describe("strings", () => {
  test("are changed, and numbers keep their form", () => {
    const text = '{"a": "old", "n": [1.0, NaN, "not \\"old\\""], "old": 1e5}';
    expect(rewriteStrings(text, (plain) => plain.replace("old", 'ne"w'))).toBe(
      '{"a": "ne\\"w", "n": [1.0, NaN, "not \\"ne\\"w\\""], "ne\\"w": 1e5}',
    );
  });

  test("that do not change leave the text as it was", () => {
    const text = '{"a": "\\u00e9\\u0000"}';
    expect(rewriteStrings(text, (plain) => plain)).toBe(text);
  });
});
