import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, validateGraph } from "../src/index.ts";
import { errorsOf, judge, nothing, picture, required, save } from "./judged-graphs.ts";

describe("what Genga does not know", () => {
  test.each([
    ["a kind of dynamic input", { x: ["COMFY_SPIRAL_V9", { template: 7 }] }, { "x.a": ["1", 0], "x.b": 3 }],
    [
      "an input that grows in another way",
      { x: ["COMFY_AUTOGROW_V3", { template: { pattern: "*" } }] },
      { "x.1": 2 },
    ],
    ["a description that is no list", { x: 7 }, { x: "anything" }],
    ["an option of a list", { x: ["COMBO", { options: ["a"], fetched_from: "/x" }] }, { x: "b" }],
    ["an option of a number", { x: ["INT", { max: 5, unless: "y" }] }, { x: 6 }],
    ["choices that are no list", { x: ["COMBO", { options: { a: 1 } }] }, { x: "b" }],
  ])("is left to the server, with a note: %s", (_what, inputs, given) => {
    const verdict = judge(required(inputs), given);
    expect(verdict).toMatchObject(nothing);
    expect(verdict.notChecked).toMatchObject(
      Object.keys(given).map((input) => ({ nodeId: "2", classType: "Use", input })),
    );
  });

  test("is not required", () => {
    expect(judge(required({ x: ["COMFY_SPIRAL_V9", {}], y: 7 }), {})).toEqual(nothing);
  });

  test("does not keep other inputs of the node from being checked", () => {
    const verdict = judge(required({ x: ["COMFY_SPIRAL_V9", {}], n: ["INT", { max: 5 }] }), {
      "x.a": 1,
      n: 6,
    });
    expect(errorsOf(verdict)).toEqual(["n:value_bigger_than_max"]);
  });

  test.each([
    ["outputs that are no list", { output: {}, output_name: {} }],
    ["a slot without a type", { output: [null, "IMAGE"] }],
    ["a class that is no object", 7],
    ["a class that is null", null],
    ["inputs that are a list", { input: [] }],
    ["required inputs that are a text", { input: { required: "x" } }],
  ])("leaves the class to the server: %s", (_what, odd) => {
    const others = { Odd: odd === null || typeof odd !== "object" ? odd : { ...picture, ...odd } };
    const objectInfo = objectInfoSchema.parse({ Save: save, Pic: picture, ...others });
    const workflow = {
      "1": { class_type: "Odd", inputs: { anything: 1 } },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(workflow, objectInfo).errors).toEqual([]);
    const other = {
      "1": { class_type: "Pic", inputs: {} },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(other, objectInfo)).toEqual(nothing);
  });

  test("a class that may be an output node is enough of an output", () => {
    const objectInfo = objectInfoSchema.parse({ Odd: null });
    expect(validateGraph({ "1": { class_type: "Odd", inputs: {} } }, objectInfo).errors).toEqual([]);
  });
});
