import { describe, expect, test } from "@jest/globals";

import { fileKindOf, isUploadInput, listOf, objectInfoSchema, specOf } from "./object-info.ts";

describe("object info", () => {
  test("knows both list shapes", () => {
    expect(listOf([["a", "b"], {}])).toEqual(["a", "b"]);
    expect(listOf(["COMBO", { options: ["a", "b"] }])).toEqual(["a", "b"]);
    expect(listOf(["COMBO", {}])).toBeUndefined();
    expect(listOf(["INT", { min: 0 }])).toBeUndefined();
  });

  test("takes odd definitions of custom nodes as they come, and the others unharmed", () => {
    const info = objectInfoSchema.parse({
      Odd: {
        input: { required: { a: 7, b: ["INT"], c: ["INT", null], d: "STRING" }, optional: null, hidden: [] },
        output: null,
      },
      Bare: {},
      Good: {
        input: { required: { x: ["INT", { min: 1 }] } },
        output: ["INT"],
        output_node: true,
        display_name: "Good one",
      },
    });
    const odd = info["Odd"];
    expect(odd && ["a", "b", "c", "d"].map((input) => specOf(odd, input))).toEqual([
      ["*"],
      ["INT"],
      ["INT"],
      ["STRING"],
    ]);
    expect(info["Bare"]).toMatchObject({ output: [], isOutputNode: false });
    expect(info["Good"]).toMatchObject({
      isOutputNode: true,
      displayName: "Good one",
      input: { required: { x: ["INT", { min: 1 }] } },
    });
  });

  test("tells files to load from lists to choose from", () => {
    expect(isUploadInput("LoadImage", "image", [["a.png"], { image_upload: true }])).toBe(true);
    expect(isUploadInput("VHS_LoadVideo", "video", [["a.mp4"], {}])).toBe(true);
    expect(isUploadInput("LoraLoader", "lora_name", [["a.safetensors"], {}])).toBe(false);
  });

  test("says which kind of file an input takes, by its options or its well-known class", () => {
    const kinds = [
      fileKindOf("MyLoader", "picture", [["a.png"], { image_upload: true }]),
      fileKindOf("MyLoader", "file", ["COMBO", { video_upload: true }]),
      fileKindOf("MyLoader", "file", ["COMBO", { video_upload: true, image_upload: true }]),
      fileKindOf("VHS_LoadVideo", "video", [["a.mp4"], {}]),
      fileKindOf("LoadImageMask", "image", undefined),
      fileKindOf("LoadImageMask", "channel", undefined),
      fileKindOf("LoadLatent", "latent", undefined),
      fileKindOf("LoadImagesFromVideo", "video", undefined),
    ];
    expect(kinds).toEqual(["image", "video", undefined, "video", "image", undefined, "latent", undefined]);
  });
});
