import { describe, expect, test } from "@jest/globals";

import { type DurationRow } from "../ports/run-durations.ts";
import {
  estimateLoad,
  estimateRun,
  samplesMax,
  samplesOf,
  withSample,
  type MeasuredRun,
} from "./durations.ts";
import { type RunKind } from "./run-kind.ts";

const server = "server-1";

function kindOf(changes: Partial<RunKind> = {}): RunKind {
  const { steps = 20, size = 1 } = changes;
  return {
    ...{ structure: "image", exact: `${steps} ${size}`, model: "a.safetensors", steps, size },
    nodes: [
      { id: "4", key: "sampler", steps },
      { id: "5", key: "decode", steps: 0 },
    ],
    ...changes,
  };
}

/** A run whose sampler takes `stepMs` for each step, and whose decoder takes 200 ms, for each size. */
function runOf(kind: RunKind, stepMs: number, more: Partial<MeasuredRun> = {}): MeasuredRun {
  const sampler = stepMs * kind.steps * kind.size;
  const decode = 200 * kind.size;
  const nodes = new Map([
    ["4", sampler],
    ["5", decode],
  ]);
  return { kind, serverId: server, ms: sampler + decode, loadMs: null, nodes, ...more };
}

function rowsAfter(runs: readonly MeasuredRun[]): Map<string, DurationRow> {
  const rows = new Map<string, DurationRow>();
  for (const sample of runs.flatMap(samplesOf))
    rows.set(sample.key, withSample(rows.get(sample.key), sample));
  return rows;
}

describe("what earlier runs say", () => {
  test("nothing of a run like which none was measured", () => {
    expect(estimateRun(kindOf(), server, new Map())).toBeNull();
    const rows = rowsAfter([runOf(kindOf({ structure: "video", exact: "video" }), 100)]);
    expect(estimateRun(kindOf(), server, rows)).toBeNull();
    expect(estimateLoad("a.safetensors", server, rows)).toBeNull();
  });

  test("the median of equal runs on the server, whatever a few odd ones took", () => {
    const times = [100, 101, 99, 102, 3_000, 98, 100, 1, 100];
    const rows = rowsAfter(times.map((stepMs) => runOf(kindOf(), stepMs)));
    const estimate = estimateRun(kindOf(), server, rows);
    expect(estimate?.level).toBe("exact on the server");
    expect(estimate?.ms).toBeCloseTo(2_200, 0);
    expect(estimate?.lowMs).toBeGreaterThan(1_900);
    expect(estimate?.highMs).toBeLessThan(2_550);
  });

  test("a range that is as wide as the runs differ, and wider after a single run", () => {
    const even = estimateRun(
      kindOf(),
      server,
      rowsAfter(Array.from({ length: 9 }, () => runOf(kindOf(), 100))),
    );
    const uneven = estimateRun(
      kindOf(),
      server,
      rowsAfter([50, 80, 100, 130, 60, 200, 90, 110, 150].map((stepMs) => runOf(kindOf(), stepMs))),
    );
    const single = estimateRun(kindOf(), server, rowsAfter([runOf(kindOf(), 100)]));
    const widthOf = (range: typeof even): number => (range?.highMs ?? 0) / (range?.lowMs ?? 1);
    expect(widthOf(even)).toBeLessThan(1.3);
    expect(widthOf(uneven)).toBeGreaterThan(2);
    expect(widthOf(single)).toBeGreaterThan(2);
  });

  test("on another server, then for other steps and sizes, then with another model: less and less certain", () => {
    const rows = rowsAfter(Array.from({ length: 9 }, () => runOf(kindOf(), 100)));
    const estimates = [
      estimateRun(kindOf(), server, rows),
      estimateRun(kindOf(), "server-2", rows),
      estimateRun(kindOf({ steps: 40 }), server, rows),
      estimateRun(kindOf({ steps: 40, size: 2 }), server, rows),
      estimateRun(kindOf({ model: "b.safetensors" }), server, rows),
    ];
    expect(estimates.map((estimate) => estimate?.level)).toEqual([
      ...["exact on the server", "exact", "like it", "like it", "same structure"],
    ]);
    const expected = [2_200, 2_200, 4_200, 8_400, 2_200];
    for (const [index, estimate] of estimates.entries())
      expect(estimate?.ms).toBeCloseTo(expected[index] ?? 0, 3);
    const widths = estimates.map((range) => (range?.highMs ?? 0) / (range?.lowMs ?? 1));
    expect(widths).toEqual(widths.toSorted((one, other) => one - other));
  });

  test("by the whole work, if no node reports steps of its own", () => {
    const kind = kindOf({ nodes: [], size: 1 });
    const rows = rowsAfter([runOf(kind, 100, { nodes: new Map() })]);
    expect(estimateRun(kindOf({ nodes: [], size: 3 }), server, rows)?.ms).toBeCloseTo(6_600, 3);
  });

  test("a lasting change is followed after half of the remembered runs", () => {
    const before = Array.from({ length: 100 }, () => runOf(kindOf(), 100));
    const after = Array.from({ length: Math.ceil(samplesMax / 2) }, () => runOf(kindOf(), 200));
    const rows = rowsAfter([...before, ...after]);
    expect([...rows.values()].every(({ samples }) => samples.length === samplesMax)).toBe(true);
    expect(estimateRun(kindOf(), server, rows)?.ms).toBeCloseTo(4_200, 0);
  });

  test("how long loads take, apart from runs", () => {
    const rows = rowsAfter([runOf(kindOf(), 100, { loadMs: 9_000 }), runOf(kindOf(), 100)]);
    expect(estimateLoad("a.safetensors", server, rows)?.ms).toBeCloseTo(9_000, 3);
    expect(estimateRun(kindOf(), server, rows)?.ms).toBeCloseTo(2_200, 3);
  });

  test("the times of nodes, of each step where the graph says how many there are", () => {
    const rows = rowsAfter([runOf(kindOf(), 100)]);
    const nodes = estimateRun(kindOf({ steps: 40 }), server, rows)?.nodes;
    expect(nodes?.get("4")).toEqual({ ms: 100, steps: 40 });
    expect(nodes?.get("5")).toEqual({ ms: 200, steps: null });
  });

  test("nothing is learned from a run without a time", () => {
    expect(samplesOf(runOf(kindOf(), 100, { ms: 0 }))).toEqual([]);
    expect(samplesOf(runOf(kindOf(), 100, { ms: Number.NaN }))).toEqual([]);
  });
});
