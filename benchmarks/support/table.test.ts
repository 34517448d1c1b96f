import { describe, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { benchmarks, soakBenchmarks } from "../table/benchmarks.ts";
import { isMet, rowSchema, type Row } from "./row.ts";
import { tableOf } from "./table.ts";

const ratio: Row = { bench: "overhead", figure: "plain ÷ Genga", value: 0.9751, unit: "×" };

describe("the table of benchmarks", () => {
  test("marks a figure that its reach calls too small or too large", () => {
    expect(isMet({ ...ratio, reach: { atLeast: 0.98 } })).toBe(false);
    expect(isMet({ ...ratio, reach: { atLeast: 0.97 } })).toBe(true);
    expect(isMet({ ...ratio, reach: { atMost: 0.98 } })).toBe(true);
    expect(isMet({ ...ratio, reach: { atMost: 0.97 } })).toBe(false);
  });

  test("does not judge a figure without a reach", () => {
    expect(isMet(ratio)).toBeNull();
  });

  test("has one line for each row, with its value, reach and judgement", () => {
    const rows: Row[] = [
      { ...ratio, reach: { atLeast: 0.98 }, note: "3 rounds" },
      { bench: "pipeline", figure: "worker", value: 12.34, unit: "ms" },
    ];
    expect(tableOf(rows).split("\n")).toEqual([
      "| bench    | figure        | value   | reach  | met | note     |",
      "| -------- | ------------- | ------- | ------ | --- | -------- |",
      "| overhead | plain ÷ Genga | 0.975 × | ≥ 0.98 | NO  | 3 rounds |",
      "| pipeline | worker        | 12.3 ms |        |     |          |",
    ]);
  });

  test("takes no row whose value is not a number", () => {
    expect(rowSchema.safeParse({ ...ratio, value: Number.NaN }).success).toBe(false);
    expect(rowSchema.safeParse({ ...ratio, value: null }).success).toBe(false);
  });

  test("lists each benchmark once in a list, and only such that exist", () => {
    const all = [...benchmarks, ...soakBenchmarks];
    // Some have a short form and a long one.
    for (const list of [benchmarks, soakBenchmarks]) {
      const names = list.map(({ name }) => name);
      expect(names).toEqual([...new Set(names)]);
    }
    expect(all.filter(({ entry }) => !existsSync(entry))).toEqual([]);
  });
});
