import { expect, test } from "@jest/globals";
import { newChain, newerThan, pageSize, pagesOf, rowsOf, withPage, type PageChain } from "./page-chain.ts";

const full = (nextCursor: string | null, rows = pageSize) => ({
  jobs: Array.from({ length: rows }),
  nextCursor,
});
const chainOf = (...pages: [number, string | null, number?][]): PageChain =>
  pages.reduce((chain, [index, next, rows]) => withPage(chain, index, full(next, rows)), newChain);

test("a list grows page by page until its end, which stays known", () => {
  const two = chainOf([0, "a"], [1, "b"]);
  expect([two.cursors, rowsOf(two)]).toEqual([[null, "a", "b"], 2 * pageSize + 8]);
  const whole = withPage(two, 2, full(null, 7));
  expect([whole.cursors, rowsOf(whole)]).toEqual([[null, "a", "b"], 2 * pageSize + 7]);
  expect(withPage(whole, 0, full("a"))).toBe(whole);
  expect(withPage(whole, 2, full(null, 7))).toBe(whole);
  expect(rowsOf(chainOf([0, null, 0]))).toBe(0);
});

test("pages behind one that changed begin where it ends now, one after the other", () => {
  const whole = chainOf([0, "a"], [1, "b"], [2, null, 7]);
  const moved = withPage(whole, 0, full("A"));
  expect([moved.cursors, moved.lastRows]).toEqual([[null, "A", "b"], 7]);
  const further = withPage(moved, 1, full("B"));
  expect([further.cursors, further.lastRows]).toEqual([[null, "A", "B"], null]);
  expect(withPage(whole, 1, full(null, 3))).toEqual({ cursors: [null, "a"], lastRows: 3 });
});

test("rows tell their pages, within those that are known", () => {
  const chain = chainOf([0, "a"], [1, "b"]);
  expect(pagesOf(chain, { first: 0, last: 20 })).toEqual([0]);
  expect(pagesOf(chain, { first: 45, last: 60 })).toEqual([0, 1]);
  expect(pagesOf(chain, { first: 120, last: 900 })).toEqual([2]);
  expect(pagesOf(chain, { first: -1, last: -1 })).toEqual([]);
});

test("jobs that came after the top one are counted", () => {
  const jobs = ["5", "4", "3"].map((id) => ({ id }));
  expect([newerThan(jobs, "3"), newerThan(jobs, "9"), newerThan(jobs, undefined)]).toEqual([2, 0, 3]);
});
