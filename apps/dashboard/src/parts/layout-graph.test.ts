import { expect, test } from "@jest/globals";
import { edgeId, layOut, type LinkedNode, nodeHeight, nodeWidth, pathOf } from "./layout-graph.ts";

/** Nodes that each need the one before, and some that were made long before. */
const chain = (count: number): LinkedNode[] =>
  Array.from({ length: count }, (_, index) => ({
    id: String(index),
    needs: [1, 3, 7].filter((back) => back <= index).map((back) => String(index - back)),
  }));

test("places 300 nodes without any two above each other, each to the right of what it needs", () => {
  const nodes = Array.from({ length: 300 }, (_, index) => ({
    id: String(index),
    needs: index < 10 ? [] : [String(index - 10), String(index - 7)],
  }));
  const { places } = layOut(nodes);
  expect(new Set([...places.values()].map(({ x, y }) => `${x} ${y}`)).size).toBe(300);
  for (const { id, needs } of nodes)
    for (const needed of needs) expect(places.get(id)!.x).toBeGreaterThan(places.get(needed)!.x);
});

test("no edge leads through a box: where it passes a column, it passes between the boxes", () => {
  const nodes = chain(12);
  const { places, crossings } = layOut(nodes);
  let passed = 0;
  for (const { id, needs } of nodes) {
    for (const needed of needs) {
      const columns = [...places.values()].filter(
        ({ x }) => x > places.get(needed)!.x + 1 && x < places.get(id)!.x - 1,
      );
      const crossed = crossings.get(edgeId(needed, id)) ?? [];
      expect(crossed).toHaveLength(new Set(columns.map(({ x }) => x)).size);
      passed += crossed.length;
      for (const box of columns) {
        const { y } = crossed.find(({ x }) => Math.abs(x - nodeWidth / 2 - box.x) < 1)!;
        expect(y < box.y || y > box.y + nodeHeight).toBe(true);
      }
    }
  }
  expect(passed).toBeGreaterThan(20);
});

test("a path is level along the boxes that it passes", () => {
  const path = pathOf({ x: 0, y: 0 }, [{ x: 200, y: 50 }], { x: 400, y: 0 });
  expect(path).toBe("M 0 0 C 52.5 0 52.5 50 105 50 L 295 50 C 347.5 50 347.5 0 400 0");
});

test("lays out a cycle, which no server runs", () => {
  const { places, crossings } = layOut([
    { id: "a", needs: ["b"] },
    { id: "b", needs: ["a"] },
  ]);
  expect([places.size, crossings.size]).toEqual([2, 2]);
});
