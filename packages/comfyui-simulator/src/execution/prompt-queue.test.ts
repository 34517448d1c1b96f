import { expect, test } from "@jest/globals";
import { PythonError } from "../python/python-values.ts";
import { PromptHeap, type QueuedPrompt } from "./prompt-heap.ts";
import { PromptQueue } from "./prompt-queue.ts";

function prompt(promptId: string, number = 0, graph = promptId): QueuedPrompt {
  return { promptId, number, graph: new Map([[graph, null]]), extraData: new Map(), outputs: [] };
}

function drained(heap: PromptHeap): string[] {
  const ids: string[] = [];
  for (let next = heap.pop(); next; next = heap.pop()) ids.push(next.promptId);
  return ids;
}

test("prompts leave by number, then by id as text", () => {
  const heap = new PromptHeap();
  for (const [id, number] of [
    ["c", 1],
    ["a", 1],
    ["z", -2],
    ["b", 1],
    ["m", 0],
  ] as const)
    heap.push(prompt(id, number));
  expect(drained(heap)).toEqual(["z", "m", "a", "b", "c"]);
});

test("the array is laid out as Python's heapq lays it out", () => {
  const heap = new PromptHeap();
  for (const number of [5, 3, 8, 1, 9, 2]) heap.push(prompt(`p${number}`, number));
  expect(heap.list().map(({ number }) => number)).toEqual([1, 3, 2, 5, 9, 8]);
  heap.pop();
  expect(heap.list().map(({ number }) => number)).toEqual([2, 3, 8, 5, 9]);
  heap.remove("p3");
  expect(heap.list().map(({ number }) => number)).toEqual([2, 8, 5, 9]);
});

test("a twin raises and is queued all the same", () => {
  const heap = new PromptHeap();
  heap.push(prompt("twin", 1, "one"));
  expect(() => {
    heap.push(prompt("twin", 1, "two"));
  }).toThrow(PythonError);
  expect(heap.size).toBe(2);
});

test("history keeps 10,001 entries, oldest out first", () => {
  const queue = new PromptQueue(
    () => undefined,
    () => undefined,
  );
  for (let index = 0; index < 10_005; index += 1) {
    queue.put(prompt(`p${index}`, index));
    const { item, prompt: taken } = queue.take()!;
    const status = { status_str: "success", completed: true, messages: [] } as const;
    queue.finish(item, { prompt: taken, outputs: new Map(), status, meta: new Map() });
  }
  const page = queue.historyPage(undefined, -1);
  expect([page.size, page.keys().next().value]).toEqual([10_001, "p4"]);
});

test("emptying the queue by a delete announces itself twice, clearing it once", () => {
  let announced = 0;
  const queue = new PromptQueue(
    () => (announced += 1),
    () => undefined,
  );
  queue.put(prompt("only"));
  expect([queue.delete("only"), queue.delete("only")]).toEqual([true, false]);
  expect(announced).toBe(3);
  queue.clear();
  expect(announced).toBe(4);
});
