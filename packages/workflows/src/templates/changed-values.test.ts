import { parseExactJson } from "@genga/comfyui";
import { expect, test } from "@jest/globals";
import { valuesAfterChanges } from "./changed-values.ts";
import { type TemplateDefinition } from "./template-definition.ts";

const definition: TemplateDefinition = {
  workflow: {
    "1": { class_type: "KSampler", inputs: { seed: 0, steps: 20, cfg: 7 } },
    "2": { class_type: "ImageScale", inputs: { width: 512, height: 512 } },
  },
  parameters: {
    seed: { type: "seed", targets: [{ node: "1", input: "seed" }] },
    steps: { type: "integer", max: 100, targets: [{ node: "1", input: "steps" }] },
    size: {
      type: "integer",
      targets: [
        { node: "2", input: "width" },
        { node: "2", input: "height" },
      ],
    },
  },
};
const values = { seed: 7, steps: 20, size: 512 };

test.each([
  ["{}", values],
  ['{"1": {"steps": 30}}', { ...values, steps: 30 }],
  ['{"1": {"seed": 18446744073709551615}}', { ...values, seed: "18446744073709551615" }],
  ['{"2": {"width": 64, "height": 64}, "1": {"seed": 8}}', { ...values, seed: 8, size: 64 }],
  // Not all places of the parameter, or different ones.
  ['{"2": {"width": 64}}', null],
  ['{"2": {"width": 64, "height": 72}}', null],
  // No parameter's.
  ['{"1": {"steps": 30, "cfg": 3}}', null],
  // What the parameter does not take, or would put into the graph in another form.
  ['{"1": {"steps": 101}}', null],
  ['{"1": {"steps": "30"}}', null],
  ['{"1": {"steps": null}}', null],
])("after the changes %s the values are %j", (changes, expected) => {
  expect(valuesAfterChanges(definition, values, parseExactJson(changes) as never)).toEqual(expected);
});
