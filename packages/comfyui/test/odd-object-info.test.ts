import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";

import { objectInfoSchema, parsePythonJson, validateGraph } from "../src/index.ts";

/** Definitions of two sound classes, and a graph that uses only them. */
const sound = {
  Pic: {
    input: { required: { width: ["INT", { min: 16, max: 64 }], mode: [["a", "b"], {}] } },
    output: ["IMAGE"],
    output_node: false,
  },
  Save: {
    input: { required: { images: ["IMAGE", {}], filename_prefix: ["STRING", {}] } },
    output: ["IMAGE"],
    output_node: true,
  },
};
const graph = (odd: Record<string, unknown>): Record<string, { class_type: string; inputs: object }> => ({
  "1": { class_type: "Pic", inputs: { width: 32, mode: "a" } },
  "2": { class_type: "Save", inputs: { images: ["1", 0], filename_prefix: "x" } },
  ...(Object.keys(odd).length > 0 && {
    "3": { class_type: "Odd", inputs: odd },
    "4": { class_type: "Save", inputs: { images: ["3", 0], filename_prefix: "y" } },
  }),
});

const types = [
  "INT",
  "FLOAT",
  "STRING",
  "BOOLEAN",
  "COMBO",
  "IMAGE",
  "*",
  "",
  "INT,FLOAT",
  "COMFY_AUTOGROW_V3",
  "COMFY_DYNAMICCOMBO_V3",
  "COMFY_DYNAMICGROUP_V3",
  "COMFY_DYNAMICSLOT_V3",
  "COMFY_MATCHTYPE_V3",
  "COMFY_UNHEARD_OF_V7",
];
const anything = fc.anything({ withNullPrototype: false, withBigInt: false, maxDepth: 3 });
const jsonLike = fc.oneof(
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: anything },
);
/** Nearly a description of an input, and sometimes far from it. */
const { spec } = fc.letrec<{ spec: unknown; inputs: unknown; options: unknown }>((tie) => ({
  spec: fc.oneof(
    { maxDepth: 3 },
    jsonLike,
    fc.tuple(fc.constantFrom(...types)),
    fc.tuple(fc.oneof(fc.constantFrom(...types), jsonLike), tie("options")),
  ),
  inputs: fc.oneof(
    { maxDepth: 3 },
    jsonLike,
    fc.record(
      {
        required: fc.dictionary(fc.string({ maxLength: 4 }), tie("spec"), { maxKeys: 3 }),
        optional: fc.dictionary(fc.string({ maxLength: 4 }), tie("spec"), { maxKeys: 3 }),
      },
      { requiredKeys: [] },
    ),
  ),
  options: fc.oneof(
    { maxDepth: 3 },
    jsonLike,
    fc.record(
      {
        min: fc.oneof(fc.double(), jsonLike),
        max: fc.oneof(fc.double(), fc.constantFrom(0, 3, 1e9), jsonLike),
        options: fc.oneof(
          fc.array(jsonLike, { maxLength: 3 }),
          fc.array(fc.record({ key: jsonLike, inputs: tie("inputs") }, { requiredKeys: [] }), {
            maxLength: 3,
          }),
          jsonLike,
        ),
        inputs: tie("inputs"),
        multiselect: jsonLike,
        template: fc.oneof(
          jsonLike,
          tie("inputs"),
          fc.record(
            {
              input: tie("inputs"),
              prefix: fc.oneof(fc.string({ maxLength: 3 }), jsonLike),
              names: fc.oneof(fc.array(fc.string({ maxLength: 3 })), jsonLike),
              min: jsonLike,
              max: fc.oneof(fc.integer({ min: -2, max: 2_000_000 }), jsonLike),
            },
            { requiredKeys: [] },
          ),
        ),
      },
      { requiredKeys: [] },
    ),
  ),
}));
const oddClass = fc.oneof(
  jsonLike,
  fc.record(
    {
      input: fc.oneof(
        jsonLike,
        fc.record(
          {
            required: fc.oneof(jsonLike, fc.dictionary(fc.string({ maxLength: 4 }), spec, { maxKeys: 4 })),
            optional: fc.oneof(jsonLike, fc.dictionary(fc.string({ maxLength: 4 }), spec, { maxKeys: 4 })),
            hidden: jsonLike,
          },
          { requiredKeys: [] },
        ),
      ),
      output: jsonLike,
      output_name: jsonLike,
      output_node: jsonLike,
      display_name: jsonLike,
      python_module: jsonLike,
      category: jsonLike,
    },
    { requiredKeys: [] },
  ),
);
const inputs = fc.dictionary(
  fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.string({ maxLength: 9, unit: fc.constantFrom("a", "0", ".", "1") }),
  ),
  fc.oneof(jsonLike, fc.constantFrom(["1", 0], ["9", 0], ["1", "x"], { __value__: [1] })),
  { maxKeys: 5 },
);

describe("odd definitions", () => {
  test("never refuse, nor warn of, a graph that does not touch the odd class", () => {
    fc.assert(
      fc.property(oddClass, (odd) => {
        const objectInfo = objectInfoSchema.parse({ ...sound, Odd: odd });
        expect(validateGraph(graph({}), objectInfo)).toEqual({ errors: [], warnings: [] });
      }),
      { numRuns: 3_000 },
    );
  });

  test("never make validation throw, whatever the graph gives to the odd class", () => {
    fc.assert(
      fc.property(oddClass, inputs, (odd, given) => {
        const objectInfo = objectInfoSchema.parse({ ...sound, Odd: odd });
        const { errors } = validateGraph(graph(given), objectInfo);
        // Nodes 1 and 2 are sound, whatever 3 is.
        for (const { nodeId } of errors) expect(["3", "4", undefined]).toContain(nodeId);
      }),
      { numRuns: 3_000 },
    );
  });

  test("of numbers that only Python writes are read, and the number does not count", () => {
    const text = JSON.stringify({
      ...sound,
      Odd: { input: { required: { x: ["FLOAT", { max: "HERE" }] } }, output: [] },
    });
    const objectInfo = objectInfoSchema.parse(parsePythonJson(text.replace('"HERE"', "Infinity")));
    expect(validateGraph(graph({ x: 1e300 }), objectInfo).errors).toMatchObject([{ nodeId: "4" }]);
    const nan = objectInfoSchema.parse(parsePythonJson(text.replace('"HERE"', "NaN")));
    expect(validateGraph(graph({ x: 5 }), nan).errors).toMatchObject([{ nodeId: "4" }]);
  });
});
