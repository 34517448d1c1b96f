import { describe, expect, test } from "@jest/globals";
import { laneOf, type ServerNeeds } from "./lane.ts";

const checkpoint = {
  classType: "CheckpointLoaderSimple",
  input: "ckpt_name",
  name: "anime/counterfeit_v3.safetensors",
};
const needs: ServerNeeds = {
  mainModel: checkpoint.name,
  classTypes: ["CheckpointLoaderSimple", "KSampler"],
  models: [checkpoint],
};

describe("a lane", () => {
  test("is named for its main model", () => {
    expect(laneOf(needs, []).name).toMatch(/^counterfeit_v3-[0-9a-f]{12}$/);
    expect(laneOf({ ...needs, mainModel: null }, []).name).toMatch(/^no-model-[0-9a-f]{12}$/);
  });

  test("has a name without characters that Redis, BullMQ or a URL would read differently", () => {
    for (const mainModel of [
      "a:b{c} d.safetensors",
      "模型.safetensors",
      "..",
      "C:\\models\\x?.ckpt",
      "z".repeat(300),
    ]) {
      expect(laneOf({ ...needs, mainModel }, []).name).toMatch(/^[a-z0-9][a-z0-9._-]{0,39}-[0-9a-f]{12}$/);
    }
  });

  test("is another one for another model, class or label", () => {
    const others = [
      laneOf(needs, []),
      laneOf({ ...needs, mainModel: "counterfeit_v3.safetensors" }, []),
      laneOf({ ...needs, classTypes: ["KSampler"] }, []),
      laneOf({ ...needs, models: [] }, []),
      laneOf(needs, ["gpu:24gb"]),
    ];
    expect(new Set(others.map(({ name }) => name)).size).toBe(others.length);
  });

  test("is the same for the same labels, in any order", () => {
    const lane = laneOf(needs, ["gpu:24gb", "pool:night"]);
    expect(laneOf(needs, ["pool:night", "gpu:24gb", "pool:night"])).toEqual(lane);
    expect(lane.needs.labels).toEqual(["gpu:24gb", "pool:night"]);
  });
});
