import { describe, expect, test } from "@jest/globals";
import { type RunEstimate } from "@genga/jobs";
import { runKindOf } from "@genga/workflows";
import { RunMeasure } from "./run-measure.ts";

const workflow = {
  1: { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "a.safetensors" } },
  2: { class_type: "KSampler", inputs: { model: ["1", 0], steps: 10 } },
  3: { class_type: "VAEDecode", inputs: { samples: ["2", 0] } },
};
const run: RunEstimate = {
  ...{ ms: 10_000, lowMs: 8_000, highMs: 12_500, level: "exact", runs: 9 },
  nodes: new Map([
    ["2", { ms: 800, steps: 10 }],
    ["3", { ms: 2_000, steps: null }],
  ]),
};
const load = { ms: 60_000, lowMs: 50_000, highMs: 70_000 };
const nothingMeasured = { remainingLowMs: null, remainingHighMs: null };

function aMeasure(known: { load: typeof load | null } | null, hadToLoad: boolean | null): RunMeasure {
  const measure = new RunMeasure(runKindOf(workflow));
  measure.know(known && { run, ...known });
  measure.begin(1_000, hadToLoad);
  return measure;
}

describe("the remaining time", () => {
  test("is not known while nothing was measured, nor how long a load takes that was not measured", () => {
    expect(aMeasure(null, false).remaining({ percent: 50, step: 5 }, 5_000)).toEqual(nothingMeasured);
    const loading = aMeasure({ load: null }, true);
    expect(loading.remaining({ percent: 0, step: null }, 1_000)).toEqual(nothingMeasured);
    expect(loading.errorOf(5_000)).toBeNull();
  });

  test("begins with what earlier runs took, and follows the run's own pace", () => {
    const measure = aMeasure({ load: null }, false);
    expect(measure.remaining({ percent: 0, step: null }, 1_000)).toEqual({
      ...{ remainingLowMs: 8_000, remainingHighMs: 12_500 },
    });
    // Half of it took 20 s instead of 5 s.
    const slow = measure.remaining({ percent: 50, step: 6 }, 21_000);
    expect(slow.remainingHighMs).toBeGreaterThan(10_000);
    expect(slow.remainingHighMs).toBeLessThan(20_000);
    // Nearly all of it took 38 s, so that the rest takes 2 s.
    const nearly = measure.remaining({ percent: 95, step: 10 }, 39_000);
    expect(nearly.remainingLowMs).toBeGreaterThanOrEqual(1_800);
    expect(nearly.remainingHighMs).toBeLessThanOrEqual(2_000);
  });

  test("contains the rest of a load until the first step, and never again", () => {
    const measure = aMeasure({ load }, true);
    expect(measure.remaining({ percent: 0, step: null }, 1_000)).toEqual({
      ...{ remainingLowMs: 58_000, remainingHighMs: 82_500 },
    });
    expect(measure.remaining({ percent: 0, step: 0 }, 31_000)).toEqual({
      ...{ remainingLowMs: 28_000, remainingHighMs: 52_500 },
    });
    const { remainingHighMs } = measure.remaining({ percent: 8, step: 1 }, 62_000);
    expect(remainingHighMs).toBeLessThan(12_500);
    expect(measure.remaining({ percent: 40, step: 5 }, 65_200).remainingHighMs).toBeLessThan(8_000);
  });

  test("does not count what the server has already", () => {
    const measure = aMeasure({ load: null }, false);
    measure.noteCached(["1", "2"]);
    expect(measure.remaining({ percent: 0, step: null }, 1_000).remainingHighMs).toBe(2_500);
    expect(measure.errorOf(2_000)).toBeCloseTo(0, 5);
  });
});

describe("a completed run", () => {
  const times = { totalMs: 10_000, leadMs: 6_000 };

  test("tells how long its nodes took, from one to the next", () => {
    const measure = aMeasure(null, false);
    measure.enter("2", 1_100);
    measure.enter("3", 9_000);
    measure.enter(null, 11_000);
    const { nodes, ms, loadMs } = measure.completed(times, false, "server") ?? {};
    expect([...(nodes ?? [])]).toEqual([
      ["2", 7_900],
      ["3", 2_000],
    ]);
    expect([ms, loadMs]).toEqual([10_000, null]);
  });

  test("has its load apart, also in the times of its nodes", () => {
    const measure = aMeasure(null, true);
    measure.enter("1", 1_100);
    measure.enter("2", 3_000);
    measure.enter("3", 9_000);
    measure.enter(null, 11_000);
    const { nodes, ms, loadMs } = measure.completed(times, true, "server") ?? {};
    expect([...(nodes ?? [])]).toEqual([
      ["2", 2_000],
      ["3", 2_000],
    ]);
    expect([ms, loadMs]).toEqual([4_000, 6_000]);
  });

  test("says nothing about others if its load is not known, or its sampler's result was there already", () => {
    expect(aMeasure(null, null).completed(times, null, "server")).toBeNull();
    expect(aMeasure(null, true).completed({ ...times, leadMs: null }, true, "server")).toBeNull();
    for (const known of [null, { load: null }]) {
      const cached = aMeasure(known, false);
      cached.noteCached(["1", "2"]);
      expect(cached.completed(times, false, "server")).toBeNull();
      const withLoader = aMeasure(known, false);
      withLoader.noteCached(["1"]);
      expect(withLoader.completed(times, false, "server")).not.toBeNull();
    }
  });
});
