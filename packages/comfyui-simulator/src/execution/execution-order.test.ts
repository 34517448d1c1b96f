import { expect, test } from "@jest/globals";
import { parsePythonJson } from "../python/python-json.ts";
import { isDict, type PythonDict } from "../python/python-values.ts";
import { ExecutionOrder, inputsOf } from "./execution-order.ts";

function graphOf(links: Record<string, string[]>): PythonDict {
  const nodes = Object.entries(links).map(([id, sources]) => [
    id,
    {
      class_type: "X",
      inputs: Object.fromEntries(sources.map((source, index) => [`in${index}`, [source, 0]])),
    },
  ]);
  const graph = parsePythonJson(JSON.stringify(Object.fromEntries(nodes)));
  if (!isDict(graph)) throw new TypeError("a graph is a dict");
  return graph;
}

function orderOf(
  graph: PythonDict,
  isCached: (id: string) => boolean,
  isOutput: (id: string) => boolean,
  more: { isAsync?: (id: string) => boolean; isLazy?: (id: string) => boolean } = {},
): ExecutionOrder {
  return new ExecutionOrder({
    inputsOf: (id) => inputsOf(graph.get(id)),
    isCached,
    isOutput,
    isAsync: () => false,
    isLazy: () => false,
    ...more,
  });
}

function run(order: ExecutionOrder): string[] {
  const ids: string[] = [];
  for (let id = order.next(); id !== undefined; id = order.next()) {
    ids.push(id);
    order.done(id);
  }
  return ids;
}

test("runs the classic graph in the recorded order", () => {
  const graph = graphOf({
    n1: [],
    n2: ["n1"],
    n3: ["n1"],
    n4: [],
    n5: ["n1", "n2", "n3", "n4"],
    n6: ["n5", "n1"],
    n7: ["n6"],
  });
  const order = orderOf(
    graph,
    () => false,
    (id) => id === "n7",
  );
  order.add("n7");
  expect(run(order)).toEqual(["n1", "n4", "n3", "n2", "n5", "n6", "n7"]);
});

test("takes the last link of a node first, and outputs as soon as they are ready", () => {
  const graph = graphOf({ a: [], b: [], both: ["a", "b"], show: ["a"], save: ["both"] });
  const order = orderOf(
    graph,
    () => false,
    (id) => id === "show" || id === "save",
  );
  order.add("save");
  order.add("show");
  expect(run(order)).toEqual(["a", "show", "b", "both", "save"]);
});

test("leaves out what is cached and what no output needs", () => {
  const graph = graphOf({ a: [], b: ["a"], c: ["b"], idle: ["a"] });
  const order = orderOf(
    graph,
    (id) => id === "a",
    (id) => id === "c",
  );
  order.add("c");
  expect(run(order)).toEqual(["b", "c"]);
  expect(order.isEmpty).toBe(true);
});

test("stands still in a cycle instead of running for ever", () => {
  const graph = graphOf({ a: ["b"], b: ["a"], out: ["a"] });
  const order = orderOf(
    graph,
    () => false,
    (id) => id === "out",
  );
  order.add("out");
  expect(run(order)).toEqual([]);
  expect(order.isEmpty).toBe(false);
});

test("starts asynchronous nodes before others, and lazy inputs only when they are asked for", () => {
  const graph = graphOf({ a: [], slow: [], pick: ["a", "slow"], out: ["pick"] });
  const order = orderOf(
    graph,
    () => false,
    (id) => id === "out",
    { isAsync: (id) => id === "slow", isLazy: (id) => id === "pick" },
  );
  order.add("out");
  expect(order.next()).toBe("pick");
  order.addLink("a", "pick");
  order.addLink("slow", "pick");
  expect(order.next()).toBe("slow");
  order.block("slow");
  expect(order.next()).toBe("a");
  order.done("a");
  expect(order.next()).toBeUndefined();
  order.unblock("slow");
  expect(run(order)).toEqual(["slow", "pick", "out"]);
});
