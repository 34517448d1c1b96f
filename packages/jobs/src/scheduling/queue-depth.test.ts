import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { areShort, isLate, promptsAllowed } from "./queue-depth.ts";

const measured = (runMs: number) => ({ runMs, runs: 20 });

describe("a server gets as many further prompts as it ends until the next one arrives", () => {
  test.each([
    { runMs: 50, refillMs: 40, prompts: 3 },
    { runMs: 20, refillMs: 40, prompts: 4 },
    { runMs: 20, refillMs: 41, prompts: 5 },
    { runMs: 5, refillMs: 40, prompts: 10 },
    { runMs: 99, refillMs: 1, prompts: 3 },
  ])("$runMs ms each, $refillMs ms until the next: $prompts", ({ runMs, refillMs, prompts }) => {
    expect(promptsAllowed({ slots: 2, refillMs }, measured(runMs))).toBe(prompts);
  });
});

describe("a server gets no more prompts than it has slots", () => {
  test("if the lane's runs take 100 ms or longer", () => {
    expect(promptsAllowed({ slots: 2, refillMs: 1_000 }, measured(100))).toBe(2);
    expect(promptsAllowed({ slots: 1, refillMs: 1_000 }, measured(480_000))).toBe(1);
  });

  test("if fewer than five runs of the lane were measured", () => {
    expect(promptsAllowed({ slots: 2, refillMs: 50 }, { runMs: 5, runs: 4 })).toBe(2);
    expect(promptsAllowed({ slots: 2, refillMs: 50 }, { runMs: null, runs: 0 })).toBe(2);
  });

  test("if no end since the last load was followed by another prompt", () => {
    expect(promptsAllowed({ slots: 2, refillMs: null }, measured(5))).toBe(2);
  });
});

test("the prompts of a server are bounded by their number and by the work beyond its slots", () => {
  fc.assert(
    fc.property(
      fc.record({
        slots: fc.integer({ min: 1, max: 20 }),
        refillMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })),
        runMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })),
        runs: fc.nat(100),
      }),
      ({ slots, refillMs, runMs, runs }) => {
        const allowed = promptsAllowed({ slots, refillMs }, { runMs, runs });
        expect(allowed).toBeGreaterThanOrEqual(slots);
        expect(allowed).toBeLessThanOrEqual(Math.max(slots, 16));
        expect((allowed - slots) * (runMs ?? 0)).toBeLessThanOrEqual(500);
        if (!areShort({ runMs, runs })) expect(allowed).toBe(slots);
      },
    ),
  );
});

test("a prompt that executes for 100 ms is not short, whatever its lane usually takes", () => {
  expect(isLate(99)).toBe(false);
  expect(isLate(100)).toBe(true);
});
