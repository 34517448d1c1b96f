import { describe, expect, test } from "@jest/globals";
import { noticedByServer, objectInfoSchema, validateGraph } from "../src/index.ts";
import { errorsOf, judge, nothing, optional, picture, required, save } from "./judged-graphs.ts";

/** A link that a server finds only after its validation, when it has unwrapped the value. */
const wrapped = (link: unknown[]): object => ({ __value__: link });
const files = { files_on_server: true, image_upload: true };

describe("a wrapped link", () => {
  test.each([
    ["any type", required({ x: ["*", {}] })],
    ["pictures", required({ x: ["IMAGE", {}] })],
    ["a type that is not known", optional({ x: ["AUDIO", {}] })],
    ["several types", required({ x: ["INT,FLOAT", {}] })],
    ["a list", required({ x: ["COMBO", { options: ["a"] }] })],
    ["an older list", required({ x: [["a"], {}] })],
    ["a list that offers it", required({ x: ["COMBO", { options: ["404", 0], multiselect: true }] })],
    ["a list that the editor fetches", required({ x: ["COMBO", { remote_combo: { route: "/x" } }] })],
    ["files", required({ x: ["COMBO", files] })],
    ["a type that cannot be read", required({ x: [{ no: "type" }] })],
  ])(
    "to a missing node is refused on an input that takes %s, since it would end the server",
    (_what, use) => {
      const { errors } = judge(use, { x: wrapped(["404", 0]) });
      expect(errorsOf({ errors, warnings: [] })).toEqual(["x:linked_node_missing"]);
    },
  );

  test("to a missing node is refused also by callers who ask only what the server notices by itself", () => {
    const objectInfo = objectInfoSchema.parse({ Save: save });
    const workflow = { "1": { class_type: "Save", inputs: { images: wrapped(["404", 0]) } } };
    const { errors } = validateGraph(workflow, objectInfo);
    expect(noticedByServer(errors, workflow, { objectInfo })).toHaveLength(1);
  });

  test("to a missing node is refused on an input of a class that chooses from its list by itself", () => {
    const objectInfo = objectInfoSchema.parse({
      CustomCombo: { ...picture, ...required({ choice: ["COMBO", { options: [] }] }), output_node: true },
    });
    const workflow = { "1": { class_type: "CustomCombo", inputs: { choice: wrapped(["404", 0]) } } };
    expect(errorsOf(validateGraph(workflow, objectInfo))).toEqual(["choice:linked_node_missing"]);
  });

  test.each([
    ["pictures", required({ x: ["IMAGE", {}] }), ["1", 0]],
    ["any type", required({ x: ["*", {}] }), ["1", 0]],
    [
      "pictures, whatever the node gives, for the server does not compare",
      required({ x: ["MASK"] }),
      ["5", 0],
    ],
    ["pictures that the node may not ask for", required({ x: ["IMAGE", { lazy: true }] }), ["404", 0]],
  ])("is accepted on an input that takes %s", (_what, use, link) => {
    expect(judge(use, { x: wrapped(link) })).toEqual(nothing);
  });

  test("is no link where the server makes a text or a truth value of it, and on an input that it does not know", () => {
    const use = required({ x: ["STRING", {}], on: ["BOOLEAN", {}] });
    const inputs = { x: wrapped(["404", 0]), on: wrapped(["404", 0]), other: wrapped(["404", 0]) };
    expect(judge(use, inputs).errors).toEqual([]);
    expect(errorsOf(judge(required({ x: ["INT", {}] }), { x: wrapped(["1", 0]) }))).toEqual([
      "x:invalid_input_type",
    ]);
  });

  test("is compared with a list or a range like any other value", () => {
    const list = required({ x: ["COMBO", { options: ["a"] }] });
    expect(errorsOf(judge(list, { x: wrapped(["1", 0]) }))).toEqual(["x:value_not_in_list"]);
    const range = required({ x: ["SEED", { min: 0 }] });
    expect(errorsOf(judge(range, { x: wrapped(["1", 0]) }))).toEqual(["x:invalid_input_type"]);
  });

  const objectInfo = objectInfoSchema.parse({
    Pic: picture,
    Save: save,
    Keep: { ...picture, ...required({ image: ["IMAGE"] }) },
  });
  const pic = { class_type: "Pic", inputs: {} };
  const keep = (image: unknown): object => ({ class_type: "Keep", inputs: { image } });
  const saved = (images: unknown): object => ({ class_type: "Save", inputs: { images } });

  test("makes the nodes behind it run, which the server has not validated", () => {
    const workflow = { "1": pic, "2": keep(["1", 0]), "3": saved(wrapped(["2", 0])) };
    expect(validateGraph(workflow, objectInfo)).toEqual(nothing);
    const broken = { ...workflow, "2": keep(["404", 0]) };
    expect(errorsOf(validateGraph(broken, objectInfo))).toEqual(["image:linked_node_missing"]);
  });

  test("stays wrapped in a node that the server runs without validating it", () => {
    const workflow = { "2": keep(wrapped(["404", 0])), "3": saved(wrapped(["2", 0])) };
    expect(validateGraph(workflow, objectInfo)).toEqual(nothing);
  });

  test("that closes a cycle lets no node begin", () => {
    const workflow = { "2": keep(wrapped(["4", 0])), "3": saved(["2", 0]), "4": keep(["2", 0]) };
    expect(errorsOf(validateGraph(workflow, objectInfo))).toEqual(["image:node_fails_at_run_time"]);
  });
});
