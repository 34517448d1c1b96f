import { describe, expect, test } from "@jest/globals";
import { InvalidJobError } from "@genga/jobs";
import { readSweep } from "./sweep.ts";

const graph = (text: string): object => ({
  "1": { class_type: "PreviewAny", inputs: { source: text } },
  "2": { class_type: "KSampler", inputs: { seed: 1 } },
});

function problemOf(read: () => unknown): unknown {
  try {
    read();
  } catch (error) {
    return error instanceof InvalidJobError ? error.problems[0] : error;
  }
  return null;
}

describe("a sweep whose jobs are few values but much text", () => {
  const long = "x".repeat(1_000_000);

  test("is refused when the text stands in its base", () => {
    const base = { type: "workflow", workflow: graph(long) };
    const read = (count: number) => (): unknown => readSweep({ base, seeds: { count } }, 10_000);
    expect(problemOf(read(10_000))).toMatchObject({ path: "sweep", code: "out-of-bounds" });
    expect(problemOf(read(100))).toBeNull();
  });

  test("is refused when the text stands in one of its lists", () => {
    const base = { type: "workflow", workflow: graph("short") };
    const read = (count: number) => (): unknown =>
      readSweep({ base, nodeInputs: { "1.source": [long, "short"] }, seeds: { count } }, 10_000);
    expect(problemOf(read(5_000))).toMatchObject({ path: "sweep", code: "out-of-bounds" });
    expect(problemOf(read(100))).toBeNull();
  });
});
