import { expect, test } from "@jest/globals";
import { nodesOf, statesOf, type RunFacts } from "./graph-layout.ts";

const workflow = {
  "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
  "2": { class_type: "Blend", inputs: { a: ["1", 0], b: ["1", 0], c: ["9", 0] }, _meta: { title: " Mix " } },
  "1": { class_type: "EmptyImage", inputs: { width: 64, size: [1, 2, 3] } },
  "4": { class_type: "Other", inputs: {} },
};
const running: RunFacts = {
  ...{ status: "processing", phase: "executing", runningNode: "2", failedNode: null },
  seen: new Set(),
};

test("reads nodes in the order of their links, without links to nodes that are missing", () => {
  expect(nodesOf(workflow)).toEqual([
    { id: "1", classType: "EmptyImage", title: "EmptyImage", needs: [] },
    { id: "4", classType: "Other", title: "Other", needs: [] },
    { id: "2", classType: "Blend", title: "Mix", needs: ["1"] },
    { id: "3", classType: "SaveImage", title: "SaveImage", needs: ["2"] },
  ]);
});

test("reads what is no graph, or a cycle, without failing", () => {
  expect(nodesOf({ a: null, b: "x", c: [] })).toEqual([]);
  const cycle = {
    "1": { class_type: "A", inputs: { a: ["2", 0] } },
    "2": { class_type: "B", inputs: { b: ["1", 0] } },
  };
  expect(nodesOf(cycle).map(({ id }) => id)).toEqual(["1", "2"]);
});

const statesIn = (facts: Partial<RunFacts>): Record<string, string> =>
  Object.fromEntries(statesOf(nodesOf(workflow), { ...running, ...facts }));

test("what the running node needs is done, and so is what was seen running", () => {
  expect(statesIn({})).toEqual({ 1: "done", 2: "running", 3: "waiting", 4: "waiting" });
  expect(statesIn({ seen: new Set(["4"]) })).toEqual({ 1: "done", 2: "running", 3: "waiting", 4: "done" });
});

test("the failed node is marked, and nothing after it counts as done", () => {
  expect(statesIn({ status: "failed", phase: null, runningNode: null, failedNode: "2" })).toEqual({
    ...{ 1: "done", 2: "failed", 3: "waiting", 4: "waiting" },
  });
});

test("nodes of a completed job are done, and those of one that has not begun wait", () => {
  expect(new Set(Object.values(statesIn({ status: "completed", phase: null })))).toEqual(new Set(["done"]));
  const waiting = statesIn({ status: "queued", phase: "waiting", seen: new Set(["1"]) });
  expect(new Set(Object.values(waiting))).toEqual(new Set(["waiting"]));
});
