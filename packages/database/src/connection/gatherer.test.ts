import { expect, test } from "@jest/globals";
import { Gatherer } from "./gatherer.ts";

/** A gatherer of words whose runs end when the test says so. */
function gathererOfWords({ slowMs = 60_000, runsMax = 4 } = {}) {
  const runs: { words: string[]; end: () => void; fail: (error: Error) => void }[] = [];
  let wake: (() => void) | undefined;
  const gatherer = new Gatherer<string, string>({
    run: (words) =>
      new Promise((resolve, reject) => {
        const end = (): void => {
          resolve(words.map((word) => word.toUpperCase()));
        };
        runs.push({ words, end, fail: reject });
        wake?.();
      }),
    fits: (word, together) => together.length < 3 && !together.includes(word),
    isOfOne: (error) => error instanceof TypeError,
    ...{ slowMs, runsMax },
  });
  const run = async (index: number) => {
    while (runs[index] === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return runs[index];
  };
  return { gatherer, runs, run };
}

test("runs alone and at once what comes alone", async () => {
  const { gatherer, runs, run } = gathererOfWords();
  const one = gatherer.add("one");
  expect(runs.map(({ words }) => words)).toEqual([["one"]]);
  (await run(0)).end();
  expect(await one).toBe("ONE");
});

test("runs together what came meanwhile, as far as it fits, and gives each its own result", async () => {
  const { gatherer, runs, run } = gathererOfWords();
  const all = ["a", "b", "c", "b", "d", "e", "f"].map((word) => gatherer.add(word));
  for (const index of [0, 1, 2, 3]) (await run(index)).end();
  expect(await Promise.all(all)).toEqual(["A", "B", "C", "B", "D", "E", "F"]);
  expect(runs.map(({ words }) => words)).toEqual([["a"], ["b", "c"], ["b", "d", "e"], ["f"]]);
});

test("does not wait for a slow run, but runs no more at a time than it may", async () => {
  const { gatherer, runs, run } = gathererOfWords({ slowMs: 1, runsMax: 2 });
  const slow = gatherer.add("slow");
  const second = gatherer.add("second");
  await run(1);
  const third = gatherer.add("third");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(runs.map(({ words }) => words)).toEqual([["slow"], ["second"]]);
  (await run(1)).end();
  (await run(2)).end();
  (await run(0)).end();
  expect(await Promise.all([slow, second, third])).toEqual(["SLOW", "SECOND", "THIRD"]);
});

test("runs each alone after a fault that may be of one of them, and goes on after any error", async () => {
  const { gatherer, run } = gathererOfWords();
  const first = gatherer.add("first");
  const pair = Promise.allSettled([gatherer.add("good"), gatherer.add("odd")]);
  (await run(0)).fail(new Error("an outage"));
  await expect(first).rejects.toThrow("an outage");
  (await run(1)).fail(new TypeError("one is odd"));
  (await run(2)).end();
  (await run(3)).fail(new TypeError("odd indeed"));
  const [good, odd] = await pair;
  expect(good).toEqual({ status: "fulfilled", value: "GOOD" });
  expect(odd).toEqual({ status: "rejected", reason: new TypeError("odd indeed") });
  const last = gatherer.add("last");
  (await run(4)).end();
  expect(await last).toBe("LAST");
});
