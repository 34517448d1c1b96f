import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, validateGraph } from "../src/index.ts";
import { errorsOf, judge, messagesOf, nothing, optional, picture, required, save } from "./judged-graphs.ts";

describe("links", () => {
  const names = (output: unknown): object => ({ Names: { ...picture, output } });
  const linked = (type: unknown, output: unknown): string[] => {
    const objectInfo = objectInfoSchema.parse({
      Save: save,
      ...names(output),
      Use: { ...picture, ...required({ x: Array.isArray(type) ? [type, {}] : [type, { options: ["a"] }] }) },
    });
    const workflow = {
      "1": { class_type: "Names", inputs: {} },
      "2": { class_type: "Use", inputs: { x: ["1", 0] } },
      "3": { class_type: "Save", inputs: { images: ["2", 0] } },
    };
    return errorsOf(validateGraph(workflow, objectInfo));
  };

  test.each([
    ["COMBO", ["COMBO"]],
    ["COMBO", [["a", "b"]]],
    [["a", "b"], [["a", "b"]]],
    [["a", "b"], ["*"]],
    ["COMFY_MATCHTYPE_V3", ["IMAGE"]],
    ["IMAGE", ["COMFY_MATCHTYPE_V3"]],
    ["IMAGE,*", ["MASK"]],
    ["INT,FLOAT", ["FLOAT, STRING"]],
    ["any", ["MASK"]],
  ])("an input of type %j takes %j", (type, output) => {
    expect(linked(type, output)).toEqual([]);
  });

  test.each([
    [["a", "b", "c"], [["a", "b"]]],
    [["a", "b"], ["COMBO"]],
    ["COMBO", ["STRING"]],
    ["INT,FLOAT", ["STRING"]],
  ])("an input of type %j does not take %j", (type, output) => {
    expect(linked(type, output)).toEqual(["x:return_type_mismatch"]);
  });

  test("of a class that answers every slot with any type go through, those of ComfyUI's own do not", () => {
    const workflow = {
      "1": { class_type: "Split", inputs: {} },
      "2": { class_type: "Save", inputs: { images: ["1", 1] } },
    };
    const split = (python_module: string) =>
      objectInfoSchema.parse({ Save: save, Split: { ...picture, output: ["*"], python_module } });
    expect(validateGraph(workflow, split("custom_nodes.impact"))).toMatchObject({
      ...nothing,
      notChecked: [{ nodeId: "2", input: "images" }],
    });
    expect(errorsOf(validateGraph(workflow, split("comfy_extras.nodes_logic")))).toEqual([
      "images:linked_slot_missing",
    ]);
  });

  test("on an input that the class lacks go to the node, and the warning says so", () => {
    const verdict = judge(optional({ input1: ["*", {}] }), { input1: ["1", 0], input2: ["1", 0] });
    expect(verdict.errors).toEqual([]);
    expect(verdict.warnings).toMatchObject([{ code: "undeclared_link", input: "input2" }]);
    expect(messagesOf(verdict)).not.toContain("ignored");
  });

  test("to a missing node on an input that the class lacks are refused: they end the server's executor", () => {
    expect(errorsOf(judge(required({}), { tags: ["404", 0] }))).toEqual(["tags:linked_node_missing"]);
    expect(errorsOf(judge(required({}), { tags: ["404", true] }))).toEqual(["tags:linked_node_missing"]);
  });

  test("on inputs that their classes lack may lead back to their node: the server accepts that, and cannot run it", () => {
    const objectInfo = objectInfoSchema.parse({ Pic: picture, Save: save });
    const workflow = {
      "1": { class_type: "Pic", inputs: { extra: ["3", 0] } },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(workflow, objectInfo).errors).toMatchObject([{ code: "node_fails_at_run_time" }]);
  });

  test("may run nodes that are not validated, and such nodes must not end the executor either", () => {
    const objectInfo = objectInfoSchema.parse({
      Pic: picture,
      Save: save,
      Use: { ...picture, ...required({ n: ["INT", {}] }) },
    });
    const graph = (inputs: object): unknown => ({
      "1": { class_type: "Pic", inputs: { extra: ["2", 0] } },
      "2": { class_type: "Use", inputs },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    });
    expect(errorsOf(validateGraph(graph({ n: "not a number" }), objectInfo))).toEqual([]);
    expect(errorsOf(validateGraph(graph({ x: ["404", 0] }), objectInfo))).toEqual(["x:linked_node_missing"]);
  });

  test.each([[["a", "b", "c"]], [["a", "b"]], [[1, 2]]])(
    "that are plain lists, on an input that the class lacks, are ignored: %j",
    (tags) => {
      const verdict = judge(required({}), { tags });
      expect(verdict.errors).toEqual([]);
      expect(messagesOf(verdict)).toContain("ignored");
    },
  );

  test("that are broken, and cycles, in nodes that no output needs are accepted with a warning", () => {
    const objectInfo = objectInfoSchema.parse({
      Pic: picture,
      Save: save,
      Use: { ...picture, ...required({ x: ["IMAGE"] }) },
    });
    const workflow = {
      "1": { class_type: "Pic", inputs: {} },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
      "7": { class_type: "Use", inputs: { x: ["404", 0] } },
      "8": { class_type: "Use", inputs: { x: ["9", 0] } },
      "9": { class_type: "Use", inputs: { x: ["8", 0] } },
    };
    const { errors, warnings } = validateGraph(workflow, objectInfo);
    expect(errors).toEqual([]);
    expect(warnings.map(({ code, nodeId }) => `${nodeId ?? ""}:${code}`)).toEqual([
      "7:unneeded_node",
      "8:unneeded_node",
      "9:unneeded_node",
    ]);
    expect(validateGraph(workflow).errors).toEqual([]);
  });
});
