import { InvalidJobError } from "@genga/jobs";
import { describe, expect, test } from "@jest/globals";
import { fillTemplate } from "./fill-template.ts";
import { readDefinition, type TemplateDefinition } from "./template-definition.ts";
import { type TemplateParameter } from "./template-parameter.ts";

/** A graph of one node, all of whose inputs are targets of parameters. */
function wide(parameters: number, targetsOfEach: number): TemplateDefinition {
  const made: Record<string, TemplateParameter> = {};
  const inputs: Record<string, string> = {};
  for (let number = 0; number < parameters; number += 1) {
    const names = Array.from({ length: targetsOfEach }, (_, index) => `in_${number}_${index}`);
    for (const name of names) inputs[name] = "";
    const targets = names.map((input) => ({ node: "1", input }));
    made[`text${number}`] = { type: "string", default: `value ${number}`, targets };
  }
  return { workflow: { "1": { class_type: "Texts", inputs } }, parameters: made };
}

function problemsOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error instanceof InvalidJobError ? error.problems : error;
  }
  return [];
}

describe("a template whose parameters have very many targets", () => {
  test("is filled without copying the inputs for each of them", () => {
    const { workflow } = fillTemplate(wide(400, 100), {}, new Map());
    expect(Object.keys(workflow["1"]!.inputs)).toHaveLength(40_000);
    expect(workflow["1"]!.inputs).toMatchObject({ in_0_99: "value 0", in_399_0: "value 399" });
  });

  test("is refused where all have more together than one graph needs", () => {
    expect(problemsOf(() => readDefinition(wide(10, 100)))).toEqual([]);
    const refused = problemsOf(() => readDefinition(wide(11, 100)));
    expect(refused).toMatchObject([{ path: "parameters", code: "out-of-bounds" }]);
  });

  test("takes no values that would make one enormous graph", () => {
    const definition = wide(11, 100);
    const long = "x".repeat(10_000);
    const values = Object.fromEntries(Object.keys(definition.parameters).map((name) => [name, long]));
    const refused = problemsOf(() => fillTemplate(definition, values, new Map()));
    expect(refused).toMatchObject([{ path: "values.text10", code: "out-of-bounds" }]);
    expect(problemsOf(() => fillTemplate(definition, { text0: long }, new Map()))).toEqual([]);
  });
});
