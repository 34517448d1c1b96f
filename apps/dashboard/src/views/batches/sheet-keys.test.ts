import { expect, test } from "@jest/globals";
import { readBatchSearch, readBatchesSearch } from "./batch-search.ts";
import { markAfter, movedBy } from "./sheet-keys.ts";

test("arrows move over a grid of three columns and eight jobs, and stay at its edges", () => {
  const from = (place: number, key: string): number | undefined =>
    movedBy(key, { place, columns: 3, count: 8 });
  expect([from(0, "ArrowLeft"), from(0, "ArrowUp"), from(0, "ArrowRight"), from(0, "ArrowDown")]).toEqual([
    0, 0, 1, 3,
  ]);
  expect([from(5, "ArrowDown"), from(7, "ArrowDown"), from(7, "ArrowRight"), from(7, "ArrowUp")]).toEqual([
    7, 7, 7, 4,
  ]);
  expect([from(4, "Home"), from(4, "End"), from(4, "a"), from(4, "constructor")]).toEqual([
    0,
    7,
    undefined,
    undefined,
  ]);
});

test("the same mark again takes it away", () => {
  expect([markAfter(null, "pick"), markAfter("pick", "pick"), markAfter("pick", "reject")]).toEqual([
    ...["pick", null, "reject"],
  ]);
});

test("what an address says wrongly is left out", () => {
  expect(readBatchSearch({ part: "sheet", mark: "reject" })).toEqual({ part: "sheet", mark: "reject" });
  expect(readBatchSearch({ part: "<b>", mark: ["pick"] })).toEqual({});
  expect(readBatchesSearch({ project: 7, tag: "", scene: ["x"], other: 1 })).toEqual({ project: "7" });
});
