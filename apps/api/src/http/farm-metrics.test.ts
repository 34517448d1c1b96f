import { expect, test } from "@jest/globals";
import { fullestLanes } from "./farm-metrics.ts";

test("of many lanes only those with the most jobs are named, and the others are added up", () => {
  const lanes = Array.from({ length: 200 }, (_, index) => ({
    lane: `lane-${index}`,
    queued: index,
    processing: 1,
  }));
  const shown = fullestLanes(lanes);
  expect(shown).toHaveLength(21);
  expect(shown[0]).toEqual({ lane: "lane-199", queued: 199, processing: 1 });
  expect(shown.at(-1)).toEqual({ lane: "other", queued: (179 * 180) / 2, processing: 180 });
  expect(fullestLanes(lanes.slice(0, 20))).toHaveLength(20);
});
