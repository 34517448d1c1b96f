import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, parseWorkflow, type NotChecked, type ObjectInfo } from "@genga/comfyui";
import { createWorkflowResolver } from "@genga/workflows";

const save = { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true };
const known = { input: { required: { mode: [["a", "b"], {}] } }, output: ["IMAGE"] };
const odd = { input: { required: { mode: ["COMFY_SPIRAL_V9", { arms: 5 }] } }, output: ["IMAGE"] };
const lists = {
  input: { required: { mode: ["COMBO", { options: ["a", "b"], multiselect: true }] } },
  output: ["IMAGE"],
};
const server = (
  id: string,
  Make: object,
): { id: string; definitionsHash: string; objectInfo: ObjectInfo } => ({
  id,
  definitionsHash: id,
  objectInfo: objectInfoSchema.parse({ Save: save, Make }),
});
const graph = (inputs: Record<string, string | string[]>) => ({
  workflow: {
    "1": { class_type: "Make", inputs },
    "2": { class_type: "Save", inputs: { images: ["1", 0] } },
  },
});

function resolverFor(...servers: ReturnType<typeof server>[]) {
  const noted: NotChecked[] = [];
  const resolver = createWorkflowResolver({
    definitions: () => Promise.resolve(servers),
    onNotChecked: (notes) => noted.push(...notes),
  });
  return { resolver, noted };
}

describe("a class that Genga does not understand", () => {
  test("is passed on with a note, and whoever counts is told", async () => {
    const { resolver, noted } = resolverFor(server("a", odd));
    const { notChecked, warnings } = await resolver.resolve("workflow", graph({ "mode.arm": "left" }));
    expect(warnings).toEqual([]);
    expect(notChecked).toEqual([
      "Node 1 (Make), mode.arm: not checked, since mode is a kind of input that Genga does not know; the server decides.",
    ]);
    expect(noted).toMatchObject([{ classType: "Make", input: "mode.arm" }]);
  });

  test("is not asked where another server is understood in full", async () => {
    const { resolver, noted } = resolverFor(server("a", odd), server("b", known));
    expect(await resolver.resolve("workflow", graph({ mode: "a" }))).toMatchObject({ notChecked: [] });
    expect(noted).toEqual([]);
  });
});

test("a list where the input takes one is wrapped as servers want it, and the client is told", async () => {
  const { resolver } = resolverFor(server("a", lists));
  const { workflow, parameters, warnings } = await resolver.resolve("workflow", graph({ mode: ["a", "b"] }));
  expect(parseWorkflow(workflow)["1"]?.inputs).toEqual({ mode: { __value__: ["a", "b"] } });
  expect(parameters).toMatchObject(graph({ mode: ["a", "b"] }));
  expect(warnings).toEqual(['Node 1, mode: the list is sent as {"__value__": […]}, as servers want it.']);
});

describe("a class that the server replaces by a newer one", () => {
  const replacing = {
    ...server("a", known),
    replacements: {
      OldMake: {
        newClass: "Make",
        inputs: [{ oldId: "kind", newId: "mode" }],
        outputs: [],
      },
    },
  };
  const old = (inputs: Record<string, string>) => ({
    workflow: {
      "1": { class_type: "OldMake", inputs },
      "2": { class_type: "Save", inputs: { images: ["1", 0] } },
    },
  });

  test("is accepted as it was sent, and the client is told what becomes of it", async () => {
    const { resolver } = resolverFor(replacing);
    const { workflow, warnings } = await resolver.resolve("workflow", old({ kind: "a" }));
    expect(parseWorkflow(workflow)["1"]).toMatchObject({ class_type: "OldMake", inputs: { kind: "a" } });
    expect(warnings).toEqual(["Node 1: the server no longer has OldMake, and replaces this node by a Make."]);
  });

  test.each([
    [{ kind: "c" }, "unknown-value", "mode"],
    [{}, "required-input-missing", "kind"],
  ])("is judged as what becomes of it: %j", async (inputs, code, input) => {
    const { resolver } = resolverFor(replacing);
    await expect(resolver.resolve("workflow", old(inputs))).rejects.toMatchObject({
      problems: expect.arrayContaining([expect.objectContaining({ code, input })]),
    });
  });
});
