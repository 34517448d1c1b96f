import { expect, test } from "@jest/globals";
import { changesOfSeeds, nameOfRerun } from "./batch-rerun.ts";

test("a graph gets a new seed wherever it has one of its own", () => {
  let drawn = 0;
  const workflow = JSON.stringify({
    "3": { class_type: "KSampler", inputs: { seed: 1, steps: 20, model: ["1", 0] } },
    "4": { class_type: "RandomNoise", inputs: { noise_seed: 5, seed: ["3", 0] } },
    "5": { class_type: "SaveImage", inputs: { images: ["3", 0] } },
  }).replace('"seed":1', '"seed":18446744073709551615');
  expect(changesOfSeeds({ type: "workflow" }, { workflow }, () => (drawn += 1))).toEqual({
    ...{ "3": { seed: 1 }, "4": { noise_seed: 2 } },
  });
  expect(changesOfSeeds({ type: "image" }, { workflow })).toEqual({ seed: null });
});

test("the new batch is named after the first one, within the bound of names", () => {
  expect(nameOfRerun({ name: "rain" }, undefined)).toBe("rain again");
  expect(nameOfRerun({ name: "rain" }, "sun")).toBe("sun");
  expect(nameOfRerun({ name: "x".repeat(200) }, undefined)).toHaveLength(200);
  const name = nameOfRerun({ name: `${"x".repeat(193)}\u{1f327}` }, undefined);
  expect(name).toBe(`${"x".repeat(193)} again`);
});
