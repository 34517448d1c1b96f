import { describe, expect, test } from "@jest/globals";
import { parseDefinitions } from "@genga/comfyui";
import { lackOf, meets } from "./server-lack.ts";

const checkpoint = (name: string) => ({ classType: "CheckpointLoaderSimple", input: "ckpt_name", name });
const needs = {
  classTypes: ["CheckpointLoaderSimple", "OldSampler"],
  models: [checkpoint("a.safetensors")],
  labels: ["gpu:24gb"],
};
const list = (...names: string[]) => ({ input: { required: { ckpt_name: [names] } } });
const server = (objectInfo: object, replacements: unknown = null, labels = ["gpu:24gb", "pool:night"]) => ({
  definitions: parseDefinitions({ objectInfo, replacements }),
  labels,
});

describe("a server", () => {
  test("meets the needs of a lane with its classes, models and labels", () => {
    const all = server({ CheckpointLoaderSimple: list("a.safetensors", "b.safetensors"), OldSampler: {} });
    expect(meets(needs, all)).toBe(true);
  });

  test("meets them with a replacement of a class", () => {
    const replacements = { OldSampler: [{ new_node_id: "NewSampler" }] };
    const info = { CheckpointLoaderSimple: list("a.safetensors") };
    expect(meets(needs, server({ ...info, NewSampler: {} }, replacements))).toBe(true);
    expect(lackOf(needs, server(info, replacements)).classTypes).toEqual(["OldSampler"]);
  });

  test("lacks classes, models and labels by name", () => {
    expect(
      lackOf(needs, server({ CheckpointLoaderSimple: list("b.safetensors") }, null, ["pool:night"])),
    ).toEqual({
      classTypes: ["OldSampler"],
      models: [checkpoint("a.safetensors")],
      labels: ["gpu:24gb"],
    });
  });

  test("does not lack a model whose input is no list there: only the server itself can tell", () => {
    const info = {
      CheckpointLoaderSimple: { input: { required: { ckpt_name: ["STRING"] } } },
      OldSampler: {},
    };
    expect(meets(needs, server(info))).toBe(true);
  });
});
