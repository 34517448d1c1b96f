import { describe, expect, test } from "@jest/globals";

import { parseExactJson } from "../json/exact-json.ts";
import { validateGraph } from "./graph-validation.ts";
import { objectInfoSchema } from "../classes/object-info.ts";

const codes = (workflow: unknown): string[] => validateGraph(workflow).errors.map(({ code }) => code);
const node = (inputs: Record<string, unknown> = {}) => ({ class_type: "Work", inputs });

describe("without object info", () => {
  test.each([
    ["null", null, "invalid_prompt"],
    ["a text", "x", "invalid_prompt"],
    ["a list", [node()], "invalid_prompt"],
    ["nothing in it", {}, "prompt_no_outputs"],
    ["a node that is a number", { "1": 5 }, "node_not_object"],
    ["a node that is null", { "1": null }, "node_not_object"],
    ["a node that is a list", { "1": [] }, "node_not_object"],
    ["a node without class_type", { "1": { inputs: {} } }, "missing_class_type"],
    ["a class_type that is no text", { "1": { class_type: 7, inputs: {} } }, "missing_class_type"],
    ["a node without inputs", { "1": node(), "2": { class_type: "Work" } }, "missing_inputs"],
    ["inputs that are a list", { "1": { class_type: "Work", inputs: [] } }, "missing_inputs"],
    [
      "an infinite number",
      { "1": node({ x: { deep: [1, Number.POSITIVE_INFINITY] } }) },
      "number_not_finite",
    ],
    [
      "a number that Python reads as infinite",
      parseExactJson('{"1":{"class_type":"A","inputs":{"x":-1e400}}}'),
      "number_not_finite",
    ],
    ["a link to nowhere", { "1": node({ x: ["9", 0] }) }, "linked_node_missing"],
    ["a link to an inherited name", { "1": node({ x: ["constructor", 0] }) }, "linked_node_missing"],
    ["a cycle of one", { "1": node({ x: ["1", 0] }) }, "dependency_cycle"],
    [
      "a cycle below an output",
      { "1": node({ x: ["2", 0] }), "2": node({ x: ["3", 0] }), "3": node({ x: ["2", 0] }) },
      "dependency_cycle",
    ],
  ])("%s is refused", (_what, workflow, code) => {
    expect(codes(workflow)).toEqual([code]);
  });

  test.each([
    ["a link of one", { "1": node({ x: ["1"] }) }, ["bad_linked_input"]],
    ["a link of three", { "1": node({ x: ["1", 0, 0] }) }, ["bad_linked_input"]],
    ["a link by number", { "1": node({ x: [1, 0] }) }, ["linked_node_missing"]],
    ["a slot that is no number", { "1": node(), "2": node({ x: ["1", "0"] }) }, []],
    [
      "a broken link that may be in a node that no output needs",
      { "1": node(), "2": node({ x: ["9", 0] }) },
      ["linked_node_missing"],
    ],
    [
      "a cycle that may be among nodes that no output needs",
      { "1": node(), "2": node({ x: ["3", 0] }), "3": node({ x: ["2", 0] }) },
      ["dependency_cycle"],
    ],
  ])("%s is not refused, since a server may accept it, but warned of", (_what, workflow, warnings) => {
    const verdict = validateGraph(workflow);
    expect(verdict.errors).toEqual([]);
    expect(verdict.warnings.map(({ code }) => code)).toEqual(warnings);
  });

  test("the editor's own format is recognised", () => {
    const [problem] = validateGraph({ nodes: [], links: [], version: 0.4 }).errors;
    expect(problem?.message).toContain("API");
  });

  test("too many nodes, too much text, and nesting without end are refused", () => {
    const many = Object.fromEntries(Array.from({ length: 5_001 }, (_unused, id) => [String(id), node()]));
    expect(codes(many)).toEqual(["graph_too_large"]);
    expect(codes({ "1": node({ text: "x".repeat(17 * 1024 * 1024) }) })).toEqual(["graph_too_large"]);
    let deep: unknown = 0;
    for (let level = 0; level < 50_000; level += 1) deep = { deep };
    expect(codes({ "1": node({ deep }) })).toEqual(["graph_too_large"]);
  });

  test("a chain as long as a graph may be is walked without overflowing", () => {
    const chain = Object.fromEntries(
      Array.from({ length: 5_000 }, (_unused, id) => [
        String(id),
        id === 0 ? node() : node({ x: [String(id - 1), 0] }),
      ]),
    );
    expect(validateGraph(chain)).toEqual({ errors: [], warnings: [] });
  });

  test("titles that are no texts do no harm", () => {
    const workflow = {
      "1": { ...node({ x: ["9", 0] }), _meta: { title: 7 } },
      "2": { ...node({ x: ["9", 0] }), _meta: null },
    };
    expect(codes(workflow)).toEqual(["linked_node_missing", "linked_node_missing"]);
  });
});

describe("with object info", () => {
  const objectInfo = objectInfoSchema.parse({
    Make: {
      input: {
        required: {
          count: ["INT", { min: 1, max: 9 }],
          scale: ["FLOAT", { min: 0 }],
          name: ["STRING", {}],
          on: ["BOOLEAN", {}],
        },
        optional: {
          mode: [["fast", "slow.model"], {}],
          other: ["COMBO", { options: ["a"] }],
          mask: ["MASK"],
        },
        hidden: { prompt: "PROMPT" },
      },
      output: ["IMAGE", "INT,FLOAT"],
    },
    Save: {
      input: { required: { images: ["IMAGE", {}] }, optional: { size: ["INT", {}], any: ["*", {}] } },
      output: [],
      output_node: true,
    },
  });
  const make = { count: 1, scale: 1, name: "x", on: true };
  const judge = (changes: Record<string, unknown>, save: Record<string, unknown> = {}) =>
    validateGraph(
      {
        "1": { class_type: "Make", inputs: { ...make, ...changes }, _meta: { title: "The maker" } },
        "2": { class_type: "Save", inputs: { images: ["1", 0], ...save } },
      },
      objectInfo,
    );

  test.each([
    [{ count: 0 }, "value_smaller_than_min"],
    [{ count: 10 }, "value_bigger_than_max"],
    [{ count: "ten" }, "invalid_input_type"],
    [{ count: "7.5" }, "invalid_input_type"],
    [{ count: {} }, "invalid_input_type"],
    [{ scale: null }, "invalid_input_type"],
    [{ scale: "nan" }, "invalid_input_type"],
    [{ mode: "medium" }, "value_not_in_list"],
    [{ other: "b" }, "value_not_in_list"],
    [{ mask: "face.png" }, "invalid_input_type"],
  ])("%j is refused", (changes, code) => {
    expect(judge(changes).errors.map((problem) => problem.code)).toEqual([code]);
  });

  test.each([
    [{ count: "7" }, "value_converted"],
    [{ count: true }, "value_converted"],
    [{ count: 2.7 }, "value_converted"],
    [{ name: 7 }, "value_converted"],
    [{ on: "false" }, "value_converted"],
    [{ colour: "red" }, "unknown_input"],
    [{ scale: "1e2" }, "value_converted"],
  ])("%j is converted, with a warning", (changes, code) => {
    expect(judge(changes)).toMatchObject({ errors: [], warnings: [{ code, nodeId: "1" }] });
  });

  test.each([
    [{ mask: null }],
    [{ mode: "fast" }],
    [{ prompt: {} }],
    [{ name: { __value__: "x" } }],
    [{ scale: 2 }],
  ])("%j passes", (changes) => {
    expect(judge(changes)).toEqual({ errors: [], warnings: [] });
  });

  test("links must bring what the input takes; unions and * match", () => {
    expect(judge({}, { size: ["1", 1], any: ["1", 0] }).errors).toEqual([]);
    expect(judge({}, { size: ["1", 0] }).errors).toMatchObject([
      { code: "return_type_mismatch", nodeId: "2", input: "size", received: "IMAGE", accepted: "INT" },
    ]);
    expect(judge({}, { size: ["1", -1] })).toMatchObject({
      errors: [],
      warnings: [{ code: "value_converted" }],
    });
    expect(judge({}, { size: ["1", 2] }).errors).toMatchObject([{ code: "linked_slot_missing" }]);
  });

  test("an error names node, title, class, input, what was given and what is accepted", () => {
    expect(judge({ mode: "SLOW" }).errors).toEqual([
      {
        code: "value_not_in_list",
        nodeId: "1",
        nodeTitle: "The maker",
        classType: "Make",
        input: "mode",
        message:
          'Node 1 "The maker" (Make), mode: "SLOW" is not in the list; accepted: one of "fast", "slow.model". Did you mean "slow.model"?',
        received: "SLOW",
        accepted: ["fast", "slow.model"],
      },
    ]);
  });

  test("every class that is missing is named, not only the first", () => {
    const workflow = {
      "1": node(),
      "2": node({ x: ["1", 0] }),
      "3": { class_type: "Save", inputs: { images: ["2", 0] } },
    };
    expect(
      validateGraph(workflow, objectInfo).errors.map(({ nodeId, code }) => `${nodeId ?? ""}:${code}`),
    ).toEqual(["1:missing_node_type", "2:missing_node_type"]);
  });

  test("a class named like something every object has is missing all the same", () => {
    expect(
      validateGraph({ "1": { class_type: "constructor", inputs: {} } }, objectInfo).errors,
    ).toMatchObject([{ code: "missing_node_type", classType: "constructor" }]);
  });
});
