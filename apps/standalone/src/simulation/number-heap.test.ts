import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { NumberHeap } from "./number-heap.ts";

test("a heap gives out what was put in, by key and then by number", () => {
  const entries = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.nat(1_000)), { maxLength: 200 });
  fc.assert(
    fc.property(entries, (given) => {
      const heap = new NumberHeap();
      for (const [key, value] of given) heap.push(key, value);
      expect(heap.size).toBe(given.length);
      const sorted = [...given].sort((one, other) => one[0] - other[0] || one[1] - other[1]);
      for (const [key, value] of sorted) {
        expect([heap.firstKey, heap.first]).toEqual([key, value]);
        expect(heap.pop()).toBe(value);
      }
      expect([heap.pop(), heap.first, heap.firstKey]).toEqual([-1, -1, Infinity]);
    }),
  );
});
