import { describe, expect, test } from "@jest/globals";
import { objectInfo } from "@genga/comfyui-recordings";
import { z } from "zod";
import { toApiGraph } from "../src/to-api-graph.ts";

const definitions = z.record(z.string(), z.unknown()).parse(JSON.parse(objectInfo("0.28", "core")));

/** A node of the editor: only what a conversion reads. */
function node(id: number, type: string, more: object = {}): object {
  return { id, type, mode: 0, inputs: [], outputs: [], ...more };
}

const input = (name: string, type: string, link: number | null, widget = false): object => ({
  ...{ name, type, link },
  ...(widget ? { widget: { name } } : {}),
});
const picture = (id: number): object =>
  node(id, "EmptyImage", { outputs: [{ name: "IMAGE", type: "IMAGE" }], widgets_values: [64, 32, 1, 0] });
const saved = (id: number, link: number): object =>
  node(id, "SaveImage", { inputs: [input("images", "IMAGE", link)], widgets_values: ["x"] });

function inputsOf(file: object): Record<string, unknown> {
  const conversion = toApiGraph(file, definitions);
  if ("reason" in conversion) throw new Error(conversion.reason);
  return Object.fromEntries(
    Object.entries(conversion.graph).map(([id, { class_type: name, inputs }]) => [`${id} ${name}`, inputs]),
  );
}

const emptyImage = { width: 64, height: 32, batch_size: 1, color: 0 };

describe("a file of the editor becomes the graph that its export would be", () => {
  test.each([
    ["version 0.4", [[5, 1, 0, 2, 0, "IMAGE"]]],
    ["version 1", [{ id: 5, origin_id: 1, origin_slot: 0, target_id: 2, target_slot: 0, type: "IMAGE" }]],
  ])("in %s, with titles", (_name, links) => {
    const nodes = [picture(1), { ...saved(2, 5), title: "Keep it" }];
    expect(toApiGraph({ nodes, links }, definitions)).toEqual({
      graph: {
        "1": { class_type: "EmptyImage", inputs: emptyImage, _meta: { title: "EmptyImage" } },
        "2": {
          class_type: "SaveImage",
          inputs: { filename_prefix: "x", images: ["1", 0] },
          _meta: { title: "Keep it" },
        },
      },
    });
  });

  test("what happens to a seed after each run is no input", () => {
    const values = [7, "randomize", 20, 8, "euler", "normal", 1];
    expect(inputsOf({ nodes: [node(3, "KSampler", { widgets_values: values })], links: [] })).toEqual({
      "3 KSampler": {
        ...{ seed: 7, steps: 20, cfg: 8, sampler_name: "euler", scheduler: "normal", denoise: 1 },
      },
    });
  });

  test("members of a dynamic combo follow the choice, and have dotted names", () => {
    const values = ["scale dimensions", 96, 48, "center", "area"];
    expect(
      inputsOf({ nodes: [node(3, "ResizeImageMaskNode", { widgets_values: values })], links: [] }),
    ).toEqual({
      "3 ResizeImageMaskNode": {
        ...{ resize_type: "scale dimensions", "resize_type.width": 96, "resize_type.height": 48 },
        ...{ "resize_type.crop": "center", scale_method: "area" },
      },
    });
  });

  test("named values say which input they are for; a list beside them is newer", () => {
    const named = { resize_type: "scale by multiplier", "resize_type.multiplier": 2, scale_method: "area" };
    const more = { widgets_values_named: named, widgets_values: ["scale by multiplier", 3, "lanczos"] };
    expect(inputsOf({ nodes: [node(3, "ResizeImageMaskNode", more)], links: [] })).toEqual({
      "3 ResizeImageMaskNode": { ...named, "resize_type.multiplier": 3, scale_method: "lanczos" },
    });
  });

  test("values that the file lacks are the defaults, and a list is wrapped", () => {
    const nodes = [node(1, "EmptyImage", { widgets_values: [[1, 2]] })];
    expect(inputsOf({ nodes, links: [] })).toEqual({
      "1 EmptyImage": { width: { __value__: [1, 2] }, height: 512, batch_size: 1, color: 0 },
    });
  });

  test("reroutes and primitives are gone, and what they carry arrives; notes are left out", () => {
    const nodes = [
      picture(1),
      node(2, "Reroute", { inputs: [input("", "*", 5)], outputs: [{ name: "", type: "IMAGE" }] }),
      node(3, "PrimitiveNode", {
        outputs: [{ name: "STRING", type: "STRING" }],
        widgets_values: ["mine", "fixed"],
      }),
      node(4, "SaveImage", {
        inputs: [input("images", "IMAGE", 6), input("filename_prefix", "STRING", 7, true)],
        widgets_values: ["x"],
      }),
      node(5, "MarkdownNote", { widgets_values: ["read me"] }),
    ];
    const links = [
      [5, 1, 0, 2, 0, "IMAGE"],
      [6, 2, 0, 4, 0, "IMAGE"],
      [7, 3, 0, 4, 1, "STRING"],
    ];
    expect(inputsOf({ nodes, links })).toEqual({
      "1 EmptyImage": emptyImage,
      "4 SaveImage": { images: ["1", 0], filename_prefix: "mine" },
    });
  });

  test.each([
    ["a bypassed node hands on what fits", 4, { images: ["1", 0] }],
    ["a muted node gives nothing", 2, {}],
  ])("%s", (_name, mode, expected) => {
    const nodes = [
      picture(1),
      node(2, "ImageScaleBy", {
        ...{ mode, inputs: [input("image", "IMAGE", 5)], outputs: [{ name: "IMAGE", type: "IMAGE" }] },
        widgets_values: ["area", 2],
      }),
      saved(3, 6),
    ];
    const links = [
      [5, 1, 0, 2, 0, "IMAGE"],
      [6, 2, 0, 3, 0, "IMAGE"],
    ];
    expect(inputsOf({ nodes, links })).toEqual({
      "1 EmptyImage": emptyImage,
      "3 SaveImage": { filename_prefix: "x", ...expected },
    });
  });
});

describe("subgraphs", () => {
  const id = "11111111-2222-3333-4444-555555555555";
  const inner = {
    id,
    name: "scale",
    inputs: [{ name: "picture" }, { name: "factor" }],
    outputs: [{ name: "IMAGE" }],
    nodes: [
      node(8, "ImageScaleBy", {
        inputs: [input("image", "IMAGE", 1), input("scale_by", "FLOAT", 2, true)],
        outputs: [{ name: "IMAGE", type: "IMAGE" }],
        widgets_values: ["area", 2],
      }),
    ],
    links: [
      { id: 1, origin_id: -10, origin_slot: 0, target_id: 8, target_slot: 0, type: "IMAGE" },
      { id: 2, origin_id: -10, origin_slot: 1, target_id: 8, target_slot: 1, type: "FLOAT" },
      { id: 3, origin_id: 8, origin_slot: 0, target_id: -20, target_slot: 0, type: "IMAGE" },
    ],
  };
  const use = (more: object): object =>
    node(57, id, {
      inputs: [input("picture", "IMAGE", 5), input("factor", "FLOAT", null, true)],
      outputs: [{ name: "IMAGE", type: "IMAGE" }],
      ...more,
    });
  const fileWith = (used: object, subgraphs: object[] = [inner]): object => ({
    nodes: [picture(1), used, saved(3, 6)],
    links: [
      [5, 1, 0, 57, 0, "IMAGE"],
      [6, 57, 0, 3, 0, "IMAGE"],
    ],
    definitions: { subgraphs },
  });

  test.each([
    ["its own value where the use has none", { widgets_values: [] }, 2],
    ["the value that the use shows", { widgets_values: [4] }, 4],
    ["the value that the use shows by name", { widgets_values_named: { factor: 5 } }, 5],
  ])("give their nodes ids of both, and a widget %s", (_name, values, factor) => {
    expect(inputsOf(fileWith(use(values)))).toEqual({
      "1 EmptyImage": emptyImage,
      "57:8 ImageScaleBy": { upscale_method: "area", scale_by: factor, image: ["1", 0] },
      "3 SaveImage": { filename_prefix: "x", images: ["57:8", 0] },
    });
  });

  test("lie in each other", () => {
    const outerId = "99999999-2222-3333-4444-555555555555";
    const outer = {
      ...{ id: outerId, name: "outer", inputs: [{ name: "picture" }], outputs: [{ name: "IMAGE" }] },
      nodes: [
        node(9, id, {
          inputs: [input("picture", "IMAGE", 1), input("factor", "FLOAT", null, true)],
          outputs: [{ name: "IMAGE", type: "IMAGE" }],
        }),
      ],
      links: [
        { id: 1, origin_id: -10, origin_slot: 0, target_id: 9, target_slot: 0, type: "IMAGE" },
        { id: 2, origin_id: 9, origin_slot: 0, target_id: -20, target_slot: 0, type: "IMAGE" },
      ],
    };
    const used = { ...use({}), type: outerId, inputs: [input("picture", "IMAGE", 5)] };
    expect(inputsOf(fileWith(used, [inner, outer]))).toEqual({
      "1 EmptyImage": emptyImage,
      "57:9:8 ImageScaleBy": { upscale_method: "area", scale_by: 2, image: ["1", 0] },
      "3 SaveImage": { filename_prefix: "x", images: ["57:9:8", 0] },
    });
  });

  test("that are bypassed hand on what fits, and those that contain themselves are not converted", () => {
    expect(inputsOf(fileWith(use({ mode: 4 })))).toEqual({
      "1 EmptyImage": emptyImage,
      "3 SaveImage": { filename_prefix: "x", images: ["1", 0] },
    });
    const endless = { ...inner, nodes: [node(8, id)], links: [] };
    expect(toApiGraph(fileWith(use({}), [endless]), definitions)).toEqual({
      reason: "its subgraphs contain each other",
    });
  });
});

test.each<[string, unknown, object]>([
  [
    "a graph in API format",
    { "1": { class_type: "X", inputs: {} } },
    { reason: "it is not a file of the editor" },
  ],
  ["a list", [], { reason: "it is not a file of the editor" }],
  ["notes alone", { nodes: [node(1, "Note")], links: [] }, { reason: "it has no node that a server runs" }],
  [
    "a class that the server lacks",
    { nodes: [node(1, "Nope")], links: [] },
    { reason: "the server lacks one of its classes", missingClass: "Nope" },
  ],
  [
    "links in a circle",
    {
      nodes: [node(1, "Reroute", { inputs: [input("", "*", 5)] }), saved(2, 6)],
      links: [
        [5, 1, 0, 1, 0, "*"],
        [6, 1, 0, 2, 0, "IMAGE"],
      ],
    },
    { reason: "its links lead in a circle" },
  ],
])("%s is not converted, and the reason is given", (_name, file, expected) => {
  expect(toApiGraph(file, definitions)).toEqual(expected);
});
