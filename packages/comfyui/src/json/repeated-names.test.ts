import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { findRepeatedName } from "./repeated-names.ts";

test.each<[string, { name: string; line: number; column: number }]>([
  ['{"a":1,"a":2}', { name: "a", line: 1, column: 8 }],
  ['{"a":1,\n "b":2,\n "a" : 3}', { name: "a", line: 3, column: 2 }],
  ['{"a":1,"\\u0061":2}', { name: "a", line: 1, column: 8 }],
  ['{"a":{"x":[{"b":1},{"b":1,"c":{},"b":2}]}}', { name: "b", line: 1, column: 34 }],
  ['{"a":{"b":1},"c":"{","a":2}', { name: "a", line: 1, column: 22 }],
  ['{"":1,"":2}', { name: "", line: 1, column: 7 }],
  ['{"__proto__":1,"__proto__":2}', { name: "__proto__", line: 1, column: 16 }],
  ['[{"\\"":1,"\\"":2}]', { name: '"', line: 1, column: 10 }],
])("finds the name that %s has twice", (text, repeated) => {
  expect(findRepeatedName(text)).toEqual(repeated);
});

test.each([
  '{"a":1,"A":2,"a ":3}',
  '{"a":{"a":{"a":[]}},"b":{"a":1}}',
  '[{"a":1},{"a":1}]',
  '{"a":"a","b":["a","a"],"c":"\\"a\\":"}',
  '{"a":"{","b":"}","c":"\\\\"}',
  '"a"',
  "7",
])("finds nothing in %s", (text) => {
  expect(findRepeatedName(text)).toBeUndefined();
});

test("finds nothing in what JSON.stringify wrote, and finds whatever is added a second time", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { minKeys: 1 }), (value) => {
      const text = JSON.stringify(value, null, 1);
      expect(findRepeatedName(text)).toBeUndefined();
      const [name = ""] = Object.keys(value);
      const twice = `${text.slice(0, text.lastIndexOf("}"))},${JSON.stringify(name)}:0}`;
      expect(findRepeatedName(twice)?.name).toBe(name);
    }),
  );
});
