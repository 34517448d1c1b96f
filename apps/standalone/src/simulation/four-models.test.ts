import { describe, expect, test } from "@jest/globals";
import { compareSchedulers, type Comparison } from "./compare-schedulers.ts";
import { simulationOptions } from "./simulation-options.ts";

const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
const patienceMs = 60_000;

/** Four models, two servers, 400 jobs in random order, and a load that takes as long as 20 jobs. */
function compare(options: Record<string, unknown>, tries = seeds): Comparison[] {
  return tries.map((seed) =>
    compareSchedulers(
      simulationOptions({ servers: 2, models: 4, jobs: 400, runMs: 1_000, loadMs: 20_000, seed, ...options }),
    ),
  );
}

function worstRatio(comparisons: Comparison[]): number {
  return Math.max(
    ...comparisons.map(({ runs, lowerBoundMs }) => (runs[0]?.makespanMs ?? Infinity) / lowerBoundMs),
  );
}

/** The most loads in one run, as a share of first-in-first-out's. */
function mostLoads(comparisons: Comparison[]): number {
  return Math.max(
    ...comparisons.map(({ runs: [lanes, plain] }) => (lanes?.loads ?? Infinity) / (plain?.loads ?? 0)),
  );
}

describe.each([
  ["fresh", {}],
  ["with a backlog ten patiences old", { backlogMs: 10 * patienceMs }],
  ["when every lane is overdue all the time", { backlogMs: 10 * patienceMs, patienceMs: 1_000 }],
  ["with three sets of requirements for each model", { lanesPerModel: 3 }],
  ["with servers of two kinds", { kinds: 2 }],
])("four models on two servers, %s", (_, options) => {
  test("take at most 1.15 of the shortest possible time, and a tenth of first-in-first-out's loads", () => {
    const comparisons = compare(options);
    expect(worstRatio(comparisons)).toBeLessThanOrEqual(1.15);
    expect(mostLoads(comparisons)).toBeLessThanOrEqual(0.1);
  });
});

test("a long backlog of more models than servers stays within 1.15 although every lane is overdue", () => {
  const options = { servers: 4, models: 10, jobs: 10_000, backlogMs: 1e6, patienceMs: 1_000 };
  expect(worstRatio(compare(options, [1, 2]))).toBeLessThanOrEqual(1.15);
});
