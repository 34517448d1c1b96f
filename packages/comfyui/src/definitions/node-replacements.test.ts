import { describe, expect, test } from "@jest/globals";

import { nodeReplacementsSchema, replacementOf, replaceNodes } from "./node-replacements.ts";
import { objectInfoSchema } from "../classes/object-info.ts";
import { type Workflow } from "../graph/workflow.ts";

/** As recorded from 0.28.0 (recording 42), with others by that server's source. */
const replacements = nodeReplacementsSchema.parse({
  ImageBatch: [
    {
      ...{ new_node_id: "BatchImagesNode", old_node_id: "ImageBatch", old_widget_ids: null },
      input_mapping: [
        { new_id: "images.image0", old_id: "image1" },
        { new_id: "images.image1", old_id: "image2" },
      ],
      output_mapping: null,
    },
    { new_node_id: "NeverLookedAt", input_mapping: null },
  ],
  ResizeImagesByLongerEdge: [
    {
      new_node_id: "ImageScaleToMaxDimension",
      old_widget_ids: ["longer_edge"],
      input_mapping: [
        { new_id: "image", old_id: "images" },
        { new_id: "largest_size", old_id: "longer_edge" },
        { new_id: "upscale_method", set_value: "lanczos" },
        { new_id: "nothing", set_value: null },
      ],
      output_mapping: [
        { new_idx: 2, old_idx: 0 },
        { new_idx: 0, old_idx: 1 },
      ],
    },
  ],
  SDV_img2vid_Conditioning: [
    { new_node_id: "SVD_img2vid_Conditioning", input_mapping: null, output_mapping: null },
  ],
  GoneWithItsHeir: [{ new_node_id: "NotInstalled", input_mapping: null, output_mapping: null }],
});

const objectInfo = objectInfoSchema.parse(
  Object.fromEntries(
    [
      "BatchImagesNode",
      "ImageScaleToMaxDimension",
      "SVD_img2vid_Conditioning",
      "EmptyImage",
      "SaveImage",
    ].map((name) => [
      name,
      { input: { required: {} }, output: ["IMAGE"], output_node: name === "SaveImage" },
    ]),
  ),
);

const image = { class_type: "EmptyImage", inputs: { width: 64 } };
const replaced = (workflow: Workflow): ReturnType<typeof replaceNodes> =>
  replaceNodes(workflow, replacements, objectInfo);

describe("nodes of a class that a server no longer has", () => {
  test("become nodes of another class, with their inputs under new names", () => {
    const batch = { class_type: "ImageBatch", inputs: { image1: ["1", 0], image2: ["1", 0], extra: 5 } };
    const result = replaced({ "1": image, "2": { ...batch, _meta: { title: "Both" } } });
    expect(result.workflow).toEqual({
      "1": image,
      "2": {
        class_type: "BatchImagesNode",
        inputs: { "images.image0": ["1", 0], "images.image1": ["1", 0] },
        _meta: { title: "Both" },
      },
    });
    expect(result.replaced).toEqual([{ nodeId: "2", oldClass: "ImageBatch", newClass: "BatchImagesNode" }]);
    expect(result.missing).toEqual([]);
  });

  test("get values of their own, and links to their outputs move, also those from replaced nodes", () => {
    const workflow: Workflow = {
      "1": image,
      "2": { class_type: "ResizeImagesByLongerEdge", inputs: { images: ["1", 0], longer_edge: 512 } },
      "3": { class_type: "ImageBatch", inputs: { image1: ["2", 0], image2: ["2", 1] } },
      "4": { class_type: "SaveImage", inputs: { images: ["2", 7], pair: ["2", 1] } },
    };
    const { workflow: mended } = replaced(workflow);
    expect(mended["2"]?.inputs).toEqual({
      ...{ image: ["1", 0], largest_size: 512, upscale_method: "lanczos", nothing: null },
    });
    expect(mended["3"]?.inputs).toEqual({ "images.image0": ["2", 2], "images.image1": ["2", 0] });
    expect(mended["4"]?.inputs).toEqual({ images: ["2", 7], pair: ["2", 0] });
    expect(workflow["3"]?.inputs).toEqual({ image1: ["2", 0], image2: ["2", 1] });
  });

  test("lose all inputs where the server has no mapping, as they do there", () => {
    const { workflow } = replaced({ "1": { class_type: "SDV_img2vid_Conditioning", inputs: { width: 64 } } });
    expect(workflow["1"]).toEqual({ class_type: "SVD_img2vid_Conditioning", inputs: {} });
  });

  test("without an input that the mapping takes are named: the server answers such a graph with a bare 500", () => {
    const { missing } = replaced({ "1": { class_type: "ImageBatch", inputs: { image1: ["9", 0] } } });
    expect(missing).toEqual([
      { nodeId: "1", oldClass: "ImageBatch", newClass: "BatchImagesNode", input: "image2" },
    ]);
  });

  test("stay what they are where the heir is not installed either, or nothing is known of an heir", () => {
    const workflow: Workflow = {
      "1": { class_type: "GoneWithItsHeir", inputs: {} },
      "2": { class_type: "constructor", inputs: {} },
      "3": image,
    };
    expect(replaced(workflow)).toEqual({ workflow, replaced: [], missing: [] });
    expect(replaced(workflow).workflow).toBe(workflow);
  });

  test("are left alone on a server that has their class", () => {
    const both = { ...objectInfo, ImageBatch: objectInfo["EmptyImage"]! };
    const workflow: Workflow = { "1": { class_type: "ImageBatch", inputs: { image1: ["1", 0] } } };
    expect(replaceNodes(workflow, replacements, both).workflow).toBe(workflow);
    expect(replacementOf("ImageBatch", replacements, both)).toBeUndefined();
    expect(replacementOf("ImageBatch", replacements, objectInfo)?.newClass).toBe("BatchImagesNode");
  });
});

describe("what a server says of replacements", () => {
  test.each([null, [], "no", 7, undefined])("is nothing when it is %j", (answer) => {
    expect(nodeReplacementsSchema.parse(answer)).toEqual({});
  });

  test("is read as far as it is understood", () => {
    const odd = {
      Nothing: [],
      Text: "x",
      NoName: [{ input_mapping: [] }],
      Odd: [
        {
          new_node_id: "New",
          input_mapping: [null, { new_id: 7 }, { new_id: "a", old_id: "b" }, { new_id: "c", other: 1 }],
          output_mapping: [{ old_idx: "0" }, { old_idx: 1, new_idx: 0 }],
        },
      ],
      Odder: [{ new_node_id: "New", input_mapping: "x", output_mapping: 3 }],
    };
    expect(nodeReplacementsSchema.parse(odd)).toEqual({
      Odd: { newClass: "New", inputs: [{ newId: "a", oldId: "b" }], outputs: [{ oldSlot: 1, newSlot: 0 }] },
      Odder: { newClass: "New", inputs: null, outputs: [] },
    });
  });
});
