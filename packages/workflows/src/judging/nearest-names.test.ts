import { expect, test } from "@jest/globals";
import { nearestFirst } from "./nearest-names.ts";

test("the names that differ least from the given one come first, whatever their letter case", () => {
  const names = ["anything_v5.safetensors", "AOM3A1B.safetensors", "Counterfeit-V3.0.safetensors", 7];
  expect(nearestFirst("counterfeit_v3.safetensors", names)[0]).toBe("Counterfeit-V3.0.safetensors");
  expect(nearestFirst("aom3a1b.safetensor", names)[0]).toBe("AOM3A1B.safetensors");
  expect(nearestFirst("x", names).toSorted()).toEqual(names.toSorted());
});

test("names keep their order where nothing was compared", () => {
  const names = Array.from({ length: 2_500 }, (_, index) => `model-${"x".repeat(200)}-${index}`);
  expect(nearestFirst("model-7", names)).toEqual(names);
  expect(nearestFirst("y".repeat(1_000_000), ["b", "a"])).toEqual(["b", "a"]);
});
