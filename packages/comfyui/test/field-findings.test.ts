import { describe, expect, test } from "@jest/globals";

import { objectInfoSchema, parseExactJson, validateGraph, type GraphValidation } from "../src/index.ts";

/** Graphs as people send them, each with what a server makes of it; the classes are made up, the rules are its own. */
const picture = { input: { required: {} }, output: ["IMAGE"], output_node: false };
const save = { input: { required: { images: ["IMAGE"] } }, output: [], output_node: true };

/** The verdict on a node of a class `Use`, whose output is saved; node 1 makes a picture, node 5 a text. */
function judge(use: object, inputs: Record<string, unknown>, others: object = {}): GraphValidation {
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

const required = (inputs: object): object => ({ input: { required: inputs } });
const optional = (inputs: object): object => ({ input: { required: {}, optional: inputs } });
const errorsOf = ({ errors }: GraphValidation): string[] =>
  errors.map(({ input, code }) => `${input ?? ""}:${code}`);
const messagesOf = ({ warnings }: GraphValidation): string =>
  warnings.map(({ message }) => message).join("\n");
const nothing = { errors: [], warnings: [] };

describe("an input that grows", () => {
  const images = (min: number): object => ({
    images: [
      "COMFY_AUTOGROW_V3",
      { template: { input: { required: { image: ["IMAGE", {}] } }, prefix: "image", min, max: 4 } },
    ],
  });

  test("takes its members under dotted names, gaps allowed", () => {
    expect(judge(required(images(1)), { "images.image0": ["1", 0], "images.image3": ["1", 0] })).toEqual(
      nothing,
    );
  });

  test("misses the first ones by name, and no more of them than the least", () => {
    expect(errorsOf(judge(required(images(2)), { "images.image1": ["1", 0] }))).toEqual([
      "images.image0:required_input_missing",
    ]);
    expect(judge(required(images(0)), {})).toEqual(nothing);
  });

  test("misses its first member though the input as a whole is optional", () => {
    expect(errorsOf(judge(optional(images(1)), {}))).toEqual(["images.image0:required_input_missing"]);
  });

  test("misses nothing where its template is optional", () => {
    const template = { input: { optional: { image: ["IMAGE", {}] } }, prefix: "image", min: 2, max: 4 };
    expect(judge(required({ images: ["COMFY_AUTOGROW_V3", { template }] }), {})).toEqual(nothing);
  });

  test("names its members where the template lists them", () => {
    const template = { input: { required: { v: ["INT,FLOAT", {}] } }, names: ["a", "b"], min: 1 };
    const values = { values: ["COMFY_AUTOGROW_V3", { template }] };
    expect(judge(required(values), { "values.a": 1, "values.b": 2.5 })).toEqual(nothing);
    expect(errorsOf(judge(required(values), { "values.b": 1 }))).toEqual(["values.a:required_input_missing"]);
  });

  test("judges each member as any other input", () => {
    expect(errorsOf(judge(required(images(1)), { "images.image0": ["5", 0] }))).toEqual([
      "images.image0:return_type_mismatch",
    ]);
  });

  test.each([
    ["an object", { images: { image0: ["1", 0] } }],
    ["a list", { images: [["1", 0]] }],
    ["a link", { images: ["1", 0] }],
  ])("says how to write its members when they come as %s", (_shape, inputs) => {
    const verdict = judge(required(images(1)), inputs);
    expect(errorsOf(verdict)).toContain("images.image0:required_input_missing");
    expect(verdict.errors[0]?.message).toContain(
      'write an input of its own for each member, "images.image0"',
    );
  });

  test("warns of members that an optional one drops", () => {
    const verdict = judge(optional(images(0)), { images: { image0: ["1", 0] }, image1: ["1", 0] });
    expect(verdict.errors).toEqual([]);
    expect(messagesOf(verdict)).toContain('"images.image0"');
    expect(messagesOf(verdict)).toContain('Did you mean "images.image1"?');
  });

  test.each([["images.image4"], ["images.image_1"]])(
    "refuses a link on %s, with which the node cannot run, and warns of a written value",
    (input) => {
      const good = { "images.image0": ["1", 0] };
      expect(errorsOf(judge(required(images(1)), { ...good, [input]: ["1", 0] }))).toEqual([
        `${input}:node_fails_at_run_time`,
      ]);
      expect(messagesOf(judge(required(images(1)), { ...good, [input]: 5 }))).toContain("is ignored");
    },
  );
});

describe("a dynamic combo", () => {
  const mode = {
    mode: [
      "COMFY_DYNAMICCOMBO_V3",
      {
        options: [
          { key: "by size", inputs: { required: { width: ["INT", { min: 1, max: 64 }] } } },
          { key: "by factor", inputs: { required: { factor: ["FLOAT", { min: 0.1, max: 8 }] } } },
          { key: "off", inputs: { required: {} } },
          {
            key: "deep",
            inputs: {
              required: {
                sub: [
                  "COMFY_DYNAMICCOMBO_V3",
                  { options: [{ key: "x", inputs: { required: { amount: ["FLOAT", {}] } } }] },
                ],
              },
            },
          },
        ],
      },
    ],
  };

  test.each([
    [{ mode: "by size", "mode.width": 8 }],
    [{ mode: "off" }],
    [{ mode: "deep", "mode.sub": "x", "mode.sub.amount": 0.5 }],
  ])("takes the members of the chosen option: %j", (inputs) => {
    expect(judge(required(mode), inputs)).toEqual(nothing);
  });

  test.each([
    [{ mode: "by size", width: 8 }, ["mode.width:required_input_missing"]],
    [{ mode: "by size", "mode.width": 65 }, ["mode.width:value_bigger_than_max"]],
    [{ mode: "by size", "mode.width": "x" }, ["mode.width:invalid_input_type"]],
    [{ mode: "deep", "mode.sub": "x" }, ["mode.sub.amount:required_input_missing"]],
    [{}, ["mode:node_fails_at_run_time"]],
    [{ mode: null }, ["mode:node_fails_at_run_time"]],
    [{ mode: "by weight" }, ["mode:node_fails_at_run_time"]],
    [{ mode: { __value__: "by size" }, "mode.width": 8 }, ["mode:node_fails_at_run_time"]],
    [{ mode: ["5", 0], "mode.width": 8 }, ["mode:node_fails_at_run_time"]],
    [{ mode: "off", "mode.width": ["5", 0] }, ["mode.width:node_fails_at_run_time"]],
  ])("refuses %j", (inputs, errors) => {
    expect(errorsOf(judge(required(mode), inputs))).toEqual(errors);
  });

  test("drops written members of other options, and says so", () => {
    const verdict = judge(required(mode), { mode: "by size", "mode.width": 8, "mode.factor": -5 });
    expect(verdict.errors).toEqual([]);
    expect(messagesOf(verdict)).toContain("mode.factor: Use has no such input for the option that is chosen");
  });

  test("within another takes no link on a member while no option is chosen", () => {
    expect(errorsOf(judge(required(mode), { mode: "deep", "mode.sub.amount": ["5", 0] }))).toEqual([
      "mode.sub.amount:node_fails_at_run_time",
    ]);
  });

  test("within another may be left out, with a warning: the node is called without it", () => {
    const verdict = judge(required(mode), { mode: "deep" });
    expect(verdict.errors).toEqual([]);
    expect(verdict.warnings).toMatchObject([{ code: "choice_missing", input: "mode.sub" }]);
  });
});

describe("a group of rows", () => {
  const rows = {
    rows: [
      "COMFY_DYNAMICGROUP_V3",
      {
        template: { required: { name: ["STRING", {}] }, optional: { weight: ["FLOAT", { max: 1 }] } },
        min: 0,
        max: 3,
      },
    ],
  };

  test("takes rows.<n>.<field>", () => {
    expect(judge(required(rows), { "rows.0.name": "a", "rows.2.name": "b", "rows.2.weight": 0.5 })).toEqual(
      nothing,
    );
    expect(judge(required(rows), {})).toEqual(nothing);
  });

  test("judges each field, and misses those of the rows that are there", () => {
    expect(errorsOf(judge(required(rows), { "rows.0.weight": 2 }))).toEqual([
      "rows.0.name:required_input_missing",
      "rows.0.weight:value_bigger_than_max",
    ]);
  });
});

test("a dynamic slot takes no link, as the server has it, and misses its members only once it has a value", () => {
  const slot = {
    slot: ["COMFY_DYNAMICSLOT_V3", { slotType: "IMAGE", inputs: { required: { strength: ["INT", {}] } } }],
  };
  expect(judge(optional(slot), {})).toEqual(nothing);
  expect(errorsOf(judge(optional(slot), { slot: ["1", 0] })).sort()).toEqual([
    "slot.strength:required_input_missing",
    "slot:return_type_mismatch",
  ]);
});

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

  test("run nodes that are not validated, and those must not end the executor either", () => {
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
    "that are none, on an input that the class lacks, are ignored: %j",
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

describe("written values", () => {
  const combo = (options: object): object => required({ x: ["COMBO", options] });

  test.each([
    [
      "several of a list, wrapped",
      combo({ options: ["a", "b"], multiselect: true }),
      { __value__: ["a", "b"] },
    ],
    ["one of such a list", combo({ options: ["a", "b"], multiselect: true }), "b"],
    [
      "any value of a list that the editor fetches",
      combo({ options: ["old"], remote_combo: { route: "/x" } }),
      "new",
    ],
    ["1 for true", required({ x: [[true, false], {}] }), 1],
    ["1.0 for 1", combo({ options: [1, 2] }), 1.0],
    ["an empty text for an optional picture", optional({ x: ["IMAGE", {}] }), ""],
    ["null for an optional picture", optional({ x: ["IMAGE", {}] }), null],
    ["anything for a type of its own", required({ x: ["COLOR", {}] }), "not a colour"],
    ["a whole float for a union", required({ x: ["INT,FLOAT", { min: 0, max: 1 }] }), 1],
  ])("%s is accepted", (_what, use, x) => {
    expect(judge(use, { x })).toEqual(nothing);
  });

  test.each([
    [
      "a stranger among several",
      combo({ options: ["a"], multiselect: true }),
      { __value__: ["a", "z"] },
      "value_not_in_list",
    ],
    [
      "a value of a list that could not be fetched",
      combo({ remote: { route: "/x" } }),
      "a",
      "value_not_in_list",
    ],
    ["a text for a number", combo({ options: [1, 2] }), "1", "value_not_in_list"],
    [
      "a union beyond its range",
      required({ x: ["INT,FLOAT", { min: 0, max: 1 }] }),
      5,
      "value_bigger_than_max",
    ],
    [
      "a text for a union with a range",
      required({ x: ["INT,FLOAT", { min: 0 }] }),
      "5",
      "invalid_input_type",
    ],
    ["null for a union with a range", required({ x: ["INT,FLOAT", { max: 9 }] }), null, "invalid_input_type"],
    ["a picture by name", optional({ x: ["IMAGE", {}] }), "face.png", "invalid_input_type"],
    ["nan", required({ x: ["FLOAT", {}] }), "nan", "invalid_input_type"],
    ["infinity", required({ x: ["FLOAT", {}] }), "-Infinity", "invalid_input_type"],
    ["inf as a whole number", required({ x: ["INT", {}] }), "inf", "invalid_input_type"],
  ])("%s is refused", (_what, use, x, code) => {
    expect(errorsOf(judge(use, { x }))).toEqual([`x:${code}`]);
  });

  test("seeds keep all their digits, and nobody is told that they lose some", () => {
    const seed = required({ seed: ["INT", { min: 0, max: 2 ** 64 }] });
    // JSON.parse makes 2^64 of the 2^64−1 in a definition, or in a graph that was read without care.
    const read = (text: string): unknown => parseExactJson(text);
    expect(judge(seed, { seed: read("18446744073709551615") })).toEqual(nothing);
    expect(judge(seed, { seed: 2 ** 64 })).toEqual(nothing);
    expect(errorsOf(judge(seed, { seed: read("18446744073709551616") }))).toEqual([
      "seed:value_bigger_than_max",
    ]);
    expect(messagesOf(judge(seed, { seed: "6687881544318117707" }))).toContain(
      '"6687881544318117707" is taken as 6687881544318117707.',
    );
  });

  test("a required input that is missing is described: type, range and default", () => {
    const verdict = judge(required({ steps: ["INT", { min: 1, max: 256, default: 1 }] }), {});
    expect(verdict.errors[0]?.message).toBe(
      "Node 2 (Use), steps: it is required; accepted: INT, at least 1, at most 256; its default is 1.",
    );
  });

  test("an annotated file is for the class to look for", () => {
    const latent = (python_module: string): object => ({
      LoadLatent: { ...picture, input: { required: { latent: [[]] } }, python_module },
    });
    const objectInfo = objectInfoSchema.parse({ Save: save, ...latent("nodes") });
    const workflow = {
      "1": { class_type: "LoadLatent", inputs: { latent: "latents/a_00001_.latent [output]" } },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(workflow, objectInfo)).toEqual(nothing);
  });
});

test.each([
  [{ format: "auto" }, ["video:odd_frame_size"]],
  [{ format: "mkv", "format.codec": "h264" }, ["video:odd_frame_size"]],
  [{ format: "mp4", "format.codec": "av1" }, []],
  [{ format: "webm", "format.codec": "auto" }, []],
])("frames of an odd size fail in h264 only: %j", (format, errors) => {
  const objectInfo = objectInfoSchema.parse({
    EmptyImage: { ...picture, ...required({ width: ["INT", {}], height: ["INT", {}] }) },
    CreateVideo: { input: { required: { images: ["IMAGE"] } }, output: ["VIDEO"] },
    SaveVideo: {
      input: {
        required: {
          video: ["VIDEO", {}],
          format: [
            "COMFY_DYNAMICCOMBO_V3",
            {
              options: ["auto", "mp4", "mkv", "webm"].map((key) => ({
                key,
                inputs: { optional: { codec: ["COMBO", { options: ["auto", "h264", "av1"] }] } },
              })),
            },
          ],
        },
      },
      output: [],
      output_node: true,
    },
  });
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 65, height: 63 } },
    "2": { class_type: "CreateVideo", inputs: { images: ["1", 0] } },
    "3": { class_type: "SaveVideo", inputs: { video: ["2", 0], ...format } },
  };
  expect(errorsOf(validateGraph(workflow, objectInfo))).toEqual(errors);
});

describe("what Genga does not know", () => {
  test.each([
    ["a kind of dynamic input", { x: ["COMFY_SPIRAL_V9", { template: 7 }] }, { "x.a": ["1", 0], "x.b": 3 }],
    [
      "an input that grows in another way",
      { x: ["COMFY_AUTOGROW_V3", { template: { pattern: "*" } }] },
      { "x.1": 2 },
    ],
    ["a description that is no list", { x: 7 }, { x: "anything" }],
    ["an option of a list", { x: ["COMBO", { options: ["a"], fetched_from: "/x" }] }, { x: "b" }],
    ["an option of a number", { x: ["INT", { max: 5, unless: "y" }] }, { x: 6 }],
    ["choices that are no list", { x: ["COMBO", { options: { a: 1 } }] }, { x: "b" }],
  ])("is left to the server, with a note: %s", (_what, inputs, given) => {
    const verdict = judge(required(inputs), given);
    expect(verdict).toMatchObject(nothing);
    expect(verdict.notChecked).toMatchObject(
      Object.keys(given).map((input) => ({ nodeId: "2", classType: "Use", input })),
    );
  });

  test("is not missed when it is left out", () => {
    expect(judge(required({ x: ["COMFY_SPIRAL_V9", {}], y: 7 }), {})).toEqual(nothing);
  });

  test("does not make anything else of the node unknown", () => {
    const verdict = judge(required({ x: ["COMFY_SPIRAL_V9", {}], n: ["INT", { max: 5 }] }), {
      "x.a": 1,
      n: 6,
    });
    expect(errorsOf(verdict)).toEqual(["n:value_bigger_than_max"]);
  });

  test.each([
    ["outputs that are no list", { output: {}, output_name: {} }],
    ["a slot without a type", { output: [null, "IMAGE"] }],
    ["a class that is no object", 7],
    ["a class that is null", null],
    ["inputs that are a list", { input: [] }],
    ["required inputs that are a text", { input: { required: "x" } }],
  ])("leaves the class to the server: %s", (_what, odd) => {
    const others = { Odd: odd === null || typeof odd !== "object" ? odd : { ...picture, ...odd } };
    const objectInfo = objectInfoSchema.parse({ Save: save, Pic: picture, ...others });
    const workflow = {
      "1": { class_type: "Odd", inputs: { anything: 1 } },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(workflow, objectInfo).errors).toEqual([]);
    const other = {
      "1": { class_type: "Pic", inputs: {} },
      "3": { class_type: "Save", inputs: { images: ["1", 0] } },
    };
    expect(validateGraph(other, objectInfo)).toEqual(nothing);
  });

  test("a class that may be an output node is enough of an output", () => {
    const objectInfo = objectInfoSchema.parse({ Odd: null });
    expect(validateGraph({ "1": { class_type: "Odd", inputs: {} } }, objectInfo).errors).toEqual([]);
  });
});
