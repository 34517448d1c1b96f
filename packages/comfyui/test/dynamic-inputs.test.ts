import { describe, expect, test } from "@jest/globals";
import { errorsOf, judge, messagesOf, nothing, optional, required } from "./judged-graphs.ts";

describe("an input that grows", () => {
  const images = (min: number): object => ({
    images: [
      "COMFY_AUTOGROW_V3",
      { template: { input: { required: { image: ["IMAGE", {}] } }, prefix: "image", min, max: 4 } },
    ],
  });

  test("takes its members under dotted names, gaps allowed", () => {
    expect(judge(required(images(1)), { "images.image0": ["1", 0], "images.image3": ["1", 0] })).toEqual(
      nothing,
    );
  });

  test("names the missing first members, as many as the minimum", () => {
    expect(errorsOf(judge(required(images(2)), { "images.image1": ["1", 0] }))).toEqual([
      "images.image0:required_input_missing",
    ]);
    expect(judge(required(images(0)), {})).toEqual(nothing);
  });

  test("requires its first member although the input itself is optional", () => {
    expect(errorsOf(judge(optional(images(1)), {}))).toEqual(["images.image0:required_input_missing"]);
  });

  test("requires no member if its template is optional", () => {
    const template = { input: { optional: { image: ["IMAGE", {}] } }, prefix: "image", min: 2, max: 4 };
    expect(judge(required({ images: ["COMFY_AUTOGROW_V3", { template }] }), {})).toEqual(nothing);
  });

  test("names its members where the template lists them", () => {
    const template = { input: { required: { v: ["INT,FLOAT", {}] } }, names: ["a", "b"], min: 1 };
    const values = { values: ["COMFY_AUTOGROW_V3", { template }] };
    expect(judge(required(values), { "values.a": 1, "values.b": 2.5 })).toEqual(nothing);
    expect(errorsOf(judge(required(values), { "values.b": 1 }))).toEqual(["values.a:required_input_missing"]);
  });

  test("checks each member like any other input", () => {
    expect(errorsOf(judge(required(images(1)), { "images.image0": ["5", 0] }))).toEqual([
      "images.image0:return_type_mismatch",
    ]);
  });

  test.each([
    ["an object", { images: { image0: ["1", 0] } }],
    ["a list", { images: [["1", 0]] }],
    ["a link", { images: ["1", 0] }],
  ])("says how to write its members when they are sent as %s", (_shape, inputs) => {
    const verdict = judge(required(images(1)), inputs);
    expect(errorsOf(verdict)).toContain("images.image0:required_input_missing");
    expect(verdict.errors[0]?.message).toContain(
      'write an input of its own for each member, "images.image0"',
    );
  });

  test("warns of members that an optional input drops", () => {
    const verdict = judge(optional(images(0)), { images: { image0: ["1", 0] }, image1: ["1", 0] });
    expect(verdict.errors).toEqual([]);
    expect(messagesOf(verdict)).toContain('"images.image0"');
    expect(messagesOf(verdict)).toContain('Did you mean "images.image1"?');
  });

  test.each([["images.image4"], ["images.image_1"]])(
    "refuses a link on %s, with which the node cannot run, and warns of a written value",
    (input) => {
      const good = { "images.image0": ["1", 0] };
      expect(errorsOf(judge(required(images(1)), { ...good, [input]: ["1", 0] }))).toEqual([
        `${input}:node_fails_at_run_time`,
      ]);
      expect(messagesOf(judge(required(images(1)), { ...good, [input]: 5 }))).toContain("is ignored");
    },
  );
});

describe("a dynamic combo", () => {
  const mode = {
    mode: [
      "COMFY_DYNAMICCOMBO_V3",
      {
        options: [
          { key: "by size", inputs: { required: { width: ["INT", { min: 1, max: 64 }] } } },
          { key: "by factor", inputs: { required: { factor: ["FLOAT", { min: 0.1, max: 8 }] } } },
          { key: "off", inputs: { required: {} } },
          {
            key: "deep",
            inputs: {
              required: {
                sub: [
                  "COMFY_DYNAMICCOMBO_V3",
                  { options: [{ key: "x", inputs: { required: { amount: ["FLOAT", {}] } } }] },
                ],
              },
            },
          },
        ],
      },
    ],
  };

  test.each([
    [{ mode: "by size", "mode.width": 8 }],
    [{ mode: "off" }],
    [{ mode: "deep", "mode.sub": "x", "mode.sub.amount": 0.5 }],
  ])("takes the members of the chosen option: %j", (inputs) => {
    expect(judge(required(mode), inputs)).toEqual(nothing);
  });

  test.each([
    [{ mode: "by size", width: 8 }, ["mode.width:required_input_missing"]],
    [{ mode: "by size", "mode.width": 65 }, ["mode.width:value_bigger_than_max"]],
    [{ mode: "by size", "mode.width": "x" }, ["mode.width:invalid_input_type"]],
    [{ mode: "deep", "mode.sub": "x" }, ["mode.sub.amount:required_input_missing"]],
    [{}, ["mode:node_fails_at_run_time"]],
    [{ mode: null }, ["mode:node_fails_at_run_time"]],
    [{ mode: "by weight" }, ["mode:node_fails_at_run_time"]],
    [{ mode: { __value__: "by size" }, "mode.width": 8 }, ["mode:node_fails_at_run_time"]],
    [{ mode: ["5", 0], "mode.width": 8 }, ["mode:node_fails_at_run_time"]],
    [{ mode: "off", "mode.width": ["5", 0] }, ["mode.width:node_fails_at_run_time"]],
  ])("refuses %j", (inputs, errors) => {
    expect(errorsOf(judge(required(mode), inputs))).toEqual(errors);
  });

  test("drops written members of other options, with a warning", () => {
    const verdict = judge(required(mode), { mode: "by size", "mode.width": 8, "mode.factor": -5 });
    expect(verdict.errors).toEqual([]);
    expect(messagesOf(verdict)).toContain("mode.factor: Use has no such input for the option that is chosen");
  });

  test("within another takes no link on a member while no option is chosen", () => {
    expect(errorsOf(judge(required(mode), { mode: "deep", "mode.sub.amount": ["5", 0] }))).toEqual([
      "mode.sub.amount:node_fails_at_run_time",
    ]);
  });

  test("within another may be left out, with a warning: the node is called without it", () => {
    const verdict = judge(required(mode), { mode: "deep" });
    expect(verdict.errors).toEqual([]);
    expect(verdict.warnings).toMatchObject([{ code: "choice_missing", input: "mode.sub" }]);
  });
});

describe("a group of rows", () => {
  const rows = {
    rows: [
      "COMFY_DYNAMICGROUP_V3",
      {
        template: { required: { name: ["STRING", {}] }, optional: { weight: ["FLOAT", { max: 1 }] } },
        min: 0,
        max: 3,
      },
    ],
  };

  test("takes rows.<n>.<field>", () => {
    expect(judge(required(rows), { "rows.0.name": "a", "rows.2.name": "b", "rows.2.weight": 0.5 })).toEqual(
      nothing,
    );
    expect(judge(required(rows), {})).toEqual(nothing);
  });

  test("checks each field, and requires the fields of rows that exist", () => {
    expect(errorsOf(judge(required(rows), { "rows.0.weight": 2 }))).toEqual([
      "rows.0.name:required_input_missing",
      "rows.0.weight:value_bigger_than_max",
    ]);
  });
});

test("a dynamic slot takes no link, as on a server, and requires its members only once it has a value", () => {
  const slot = {
    slot: ["COMFY_DYNAMICSLOT_V3", { slotType: "IMAGE", inputs: { required: { strength: ["INT", {}] } } }],
  };
  expect(judge(optional(slot), {})).toEqual(nothing);
  expect(errorsOf(judge(optional(slot), { slot: ["1", 0] })).sort()).toEqual([
    "slot.strength:required_input_missing",
    "slot:return_type_mismatch",
  ]);
});
