import { objectInfoSchema, validateGraph, type GraphValidation } from "../src/index.ts";

// For tests of graphs as people send them. The classes are made up; the rules are those of a real server.

export const picture = { input: { required: {} }, output: ["IMAGE"], output_node: false };
export const save = { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true };

/** The verdict on a node of a class `Use`, whose output is saved; node 1 makes a picture, node 5 a text. */
export function judge(use: object, inputs: Record<string, unknown>, others: object = {}): GraphValidation {
  const objectInfo = objectInfoSchema.parse({
    Pic: picture,
    Save: save,
    Text: { ...picture, output: ["STRING"] },
    Use: { ...picture, ...use },
    ...others,
  });
  const workflow = {
    "1": { class_type: "Pic", inputs: {} },
    "2": { class_type: "Use", inputs },
    "3": { class_type: "Save", inputs: { images: ["2", 0] } },
    "5": { class_type: "Text", inputs: {} },
  };
  const { warnings, ...rest } = validateGraph(workflow, objectInfo);
  return { ...rest, warnings: warnings.filter(({ code }) => code !== "unneeded_node") };
}

export const required = (inputs: object): object => ({ input: { required: inputs } });
export const optional = (inputs: object): object => ({ input: { required: {}, optional: inputs } });
export const errorsOf = ({ errors }: GraphValidation): string[] =>
  errors.map(({ input, code }) => `${input ?? ""}:${code}`);
export const messagesOf = ({ warnings }: GraphValidation): string =>
  warnings.map(({ message }) => message).join("\n");
export const nothing = { errors: [], warnings: [] };
