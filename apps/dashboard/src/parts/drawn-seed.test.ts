import { expect, test } from "@jest/globals";
import { drawnSeed } from "./drawn-seed.ts";

test("seeds are drawn from the range that every node takes, and from all of it", () => {
  const seeds = Array.from({ length: 200 }, drawnSeed);
  expect(seeds.filter((seed) => !Number.isInteger(seed) || seed < 0 || seed > 2_147_483_647)).toEqual([]);
  expect(Math.max(...seeds)).toBeGreaterThan(2 ** 30);
});
