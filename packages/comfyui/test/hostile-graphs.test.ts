import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, validateGraph } from "@genga/comfyui";

const choices = Array.from({ length: 5_000 }, (_unused, index) => `model-${index}.safetensors`);

const objectInfo = objectInfoSchema.parse({
  Work: {
    input: {
      required: {},
      optional: {
        cfg: ["FLOAT", { min: 0 }],
        model: ["COMBO", { options: choices }],
        mode: [
          "COMFY_DYNAMICCOMBO_V3",
          { options: [{ key: "size", inputs: { required: { width: ["INT", {}] } } }] },
        ],
      },
    },
    output: ["IMAGE"],
    output_node: true,
  },
});

const graphOf = (inputs: Record<string, unknown>, title = "work") => ({
  "1": { class_type: "Work", inputs, _meta: { title } },
});
const manyInputs = Object.fromEntries(
  Array.from({ length: 5_000 }, (_unused, index) => [`strange${index}`, 1]),
);

// Each of these once took minutes, or more memory than there is; the time limit of a test is what they are held to.
describe("a graph that is made to keep its judge busy", () => {
  test("has a long text of digits where a number is expected", () => {
    const { errors } = validateGraph(graphOf({ cfg: `${"1".repeat(1_000_000)}x` }), objectInfo);
    expect(errors).toMatchObject([{ code: "invalid_input_type", input: "cfg" }]);
  });

  test.each(["1", "1.", ".5", "1.5", "1_0.2_5", " -1.5e+1_0 ", "1e5"])("and %j is still a number", (text) => {
    const { errors } = validateGraph(graphOf({ cfg: text.replace("-", "") }), objectInfo);
    expect(errors).toEqual([]);
  });

  test.each(["", ".", "1__0", "_1", "1_", "1e", "1_.5", "1._5"])("and %j is still none", (text) => {
    const { errors } = validateGraph(graphOf({ cfg: text }), objectInfo);
    expect(errors).toMatchObject([{ code: "invalid_input_type" }]);
  });

  test("names a choice of megabytes", () => {
    const { errors } = validateGraph(graphOf({ model: "A".repeat(4_000_000) }), objectInfo);
    expect(errors).toMatchObject([{ code: "value_not_in_list", input: "model" }]);
  });

  test("has a long title and thousands of inputs to warn of: their messages stay short, and the list ends", () => {
    const { errors, warnings } = validateGraph(graphOf(manyInputs, "t".repeat(1_000_000)), objectInfo);
    expect(errors).toEqual([]);
    expect(JSON.stringify(warnings.map(({ message }) => message)).length).toBeLessThan(1_000_000);
    expect(warnings.at(-1)?.code).toBe("more_problems");
  });

  test("has thousands of lists that are no links, while no server is known", () => {
    const lists = Object.fromEntries(Object.keys(manyInputs).map((name) => [name, []]));
    const graph = { ...graphOf(lists), "2": { class_type: "Work", inputs: { x: ["2", 0] } } };
    const { errors, warnings } = validateGraph(graph);
    expect(errors).toEqual([]);
    expect(warnings.at(-1)?.code).toBe("more_problems");
    expect(warnings.length).toBeLessThan(1_100);
  });
});

test("a node of hundreds of thousands of inputs is refused before it is judged", () => {
  const inputs = Object.fromEntries(Array.from({ length: 10_001 }, (_unused, index) => [`i${index}`, []]));
  expect(validateGraph(graphOf(inputs)).errors).toMatchObject([{ code: "graph_too_large", nodeId: "1" }]);
});

test("a bare name is still told apart from the member that was perhaps meant", () => {
  const { warnings } = validateGraph(graphOf({ mode: "size", "mode.width": 8, width: 8 }), objectInfo);
  expect(warnings.map(({ message }) => message)).toEqual([
    expect.stringContaining('Did you mean "mode.width"?'),
  ]);
});
