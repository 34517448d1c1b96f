import { expect, test } from "@jest/globals";
import { readRange } from "./range-header.ts";

const file = { bytes: 100, sha256: "ab" };

test.each<[string | undefined, ReturnType<typeof readRange>]>([
  [undefined, null],
  ["bytes=0-9", { start: 0, end: 9 }],
  ["bytes=0-", { start: 0, end: 99 }],
  ["bytes=99-", { start: 99, end: 99 }],
  ["bytes=90-200", { start: 90, end: 99 }],
  ["bytes=-10", { start: 90, end: 99 }],
  ["bytes=-1000", { start: 0, end: 99 }],
  ["BYTES=1-2", { start: 1, end: 2 }],
  ["bytes=100-", "not-satisfiable"],
  ["bytes=-0", "not-satisfiable"],
  ["bytes=9-3", null],
  ["bytes=-", null],
  ["bytes=0-1,3-4", null],
  ["lines=0-1", null],
  ["bytes=a-b", null],
])("the range %s means %j", (range, expected) => {
  expect(readRange(range, undefined, file)).toEqual(expected);
});

test("a range of another version is not sent", () => {
  expect(readRange("bytes=0-9", '"other"', file)).toBeNull();
  expect(readRange("bytes=0-9", '"ab"', file)).toEqual({ start: 0, end: 9 });
});
