import { expect, test } from "@jest/globals";
import { chainInOrder, nameOf } from "./chain-jobs.ts";

const job = (id: string, ...needs: string[]) => ({
  ...{ id, needs, key: null, type: "image" as const, status: "queued" as const, batchId: null },
});

test("each job stands after those that it needs, and needs of jobs that are not shown are left out", () => {
  const ordered = chainInOrder([job("a", "c"), job("b", "a", "c"), job("c", "elsewhere"), job("d")]);
  expect(ordered.map(({ id }) => id)).toEqual(["c", "d", "a", "b"]);
  expect(ordered[0]?.needs).toEqual([]);
});

test("a cycle ends, too", () => {
  expect(chainInOrder([job("a", "b"), job("b", "a")]).map(({ id }) => id)).toEqual(["a", "b"]);
});

test("a job is called by its key, or by the end of its id", () => {
  expect([nameOf({ id: "x", key: "pose" }), nameOf({ id: "019c-12345678", key: null })]).toEqual([
    "pose",
    "…12345678",
  ]);
});
