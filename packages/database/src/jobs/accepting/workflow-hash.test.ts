import { describe, expect, test } from "@jest/globals";
import { hashWorkflow } from "./workflow-hash.ts";

const seeded = (seed: string): string => `{"1":{"class_type":"KSampler","inputs":{"seed":${seed}}}}`;

describe("A graph's hash", () => {
  test("is the same for the same text", () => {
    expect(hashWorkflow(seeded("1"))).toBe(hashWorkflow(seeded("1")));
    expect(hashWorkflow(seeded("1"))).toMatch(/^[0-9a-f]{64}$/);
  });

  test("differs for different texts, also where JavaScript's numbers are equal", () => {
    const seeds = [
      "1",
      "1.0",
      "1e0",
      '"1"',
      "18446744073709551615",
      "18446744073709551614",
      "18446744073709551616",
    ];
    expect(new Set(seeds.map((seed) => hashWorkflow(seeded(seed)))).size).toBe(seeds.length);
  });
});
