import { describe, expect, test } from "@jest/globals";
import { hashWorkflow } from "./workflow-hash.ts";

const node = (inputs: Record<string, number | string>) => ({ class_type: "KSampler", inputs });

describe("A graph's name", () => {
  test("is the same in whatever order its keys come", () => {
    const a = { "1": node({ seed: 1, steps: 20 }), "2": node({}) };
    const b = { "2": { inputs: {}, class_type: "KSampler" }, "1": node({ steps: 20, seed: 1 }) };
    expect(hashWorkflow(a)).toBe(hashWorkflow(b));
    expect(hashWorkflow(a)).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ["a seed", { "1": node({ seed: 2 }) }],
    ["a type", { "1": node({ seed: "1" }) }],
    ["a node's id", { "2": node({ seed: 1 }) }],
    ["an input's name", { "1": node({ noise_seed: 1 }) }],
    ["a title", { "1": { ...node({ seed: 1 }), _meta: { title: "x" } } }],
  ])("differs with %s", (_, other) => {
    expect(hashWorkflow(other)).not.toBe(hashWorkflow({ "1": node({ seed: 1 }) }));
  });

  test("tells the order of a list", () => {
    const of = (list: number[]) => hashWorkflow({ "1": { class_type: "X", inputs: { list } } });
    expect(of([1, 2])).not.toBe(of([2, 1]));
  });
});
