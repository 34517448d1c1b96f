import { expect, test } from "@jest/globals";

import { validateGraph } from "../checking/graph-validation.ts";
import { wrapLists } from "./list-values.ts";
import { objectInfoSchema } from "../classes/object-info.ts";
import { canRun } from "./server-definitions.ts";

const objectInfo = objectInfoSchema.parse({
  Use: {
    input: {
      required: {
        many: ["COMBO", { options: ["r", "g", "b"], multiselect: true }],
        curve: ["CURVE", {}],
        image: ["IMAGE", {}],
      },
    },
    output: [],
    output_node: true,
  },
  Pic: { input: { required: {} }, output: ["IMAGE"] },
});
const graph = (inputs: Record<string, unknown>) => ({
  "1": { class_type: "Pic", inputs: {} },
  "2": { class_type: "Use", inputs: { image: ["1", 0], ...inputs } },
});

test("a graph as a server shows it can be sent again: its lists are wrapped where the input takes one", () => {
  const shown = graph({
    many: ["r", "g"],
    curve: [
      [0, 0],
      [1, 1],
    ],
  });
  expect(validateGraph(shown, objectInfo).errors).toHaveLength(2);
  const { workflow, wrapped } = wrapLists(shown, objectInfo);
  expect(validateGraph(workflow, objectInfo)).toEqual({ errors: [], warnings: [] });
  expect(wrapped).toEqual([
    { nodeId: "2", input: "many" },
    { nodeId: "2", input: "curve" },
  ]);
});

test("links, lists that no input takes, and graphs without lists stay as they are", () => {
  const sent = graph({ many: { __value__: ["r"] }, curve: ["1", 0], image: ["1", 0, 0], other: [1, 2, 3] });
  expect(wrapLists(sent, objectInfo).workflow).toBe(sent);
});

test("a server can run a graph whose lists were never wrapped: nobody knew a server when it was accepted", () => {
  const shown = graph({
    many: ["r", "g"],
    curve: [
      [0, 0],
      [1, 1],
    ],
  });
  expect(canRun(shown, { objectInfo, replacements: {} })).toBe(true);
  expect(canRun(graph({ many: ["x", "g"], curve: [] }), { objectInfo, replacements: {} })).toBe(false);
});
