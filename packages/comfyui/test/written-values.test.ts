import { describe, expect, test } from "@jest/globals";
import { objectInfoSchema, parseExactJson, validateGraph } from "../src/index.ts";
import { errorsOf, judge, messagesOf, nothing, optional, picture, required, save } from "./judged-graphs.ts";

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
      "an unknown value among several",
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

  test("seeds keep all their digits, and no warning says that they lose some", () => {
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

  test.each([
    ["INT", { min: -(2 ** 63) }, "-9223372036854775808", "value_smaller_than_min"],
    ["INT", { min: -(2 ** 64) }, "-18446744073709551616", "value_smaller_than_min"],
    ["INT", { max: 2 ** 63 }, "9223372036854775808", "value_bigger_than_max"],
    ["FLOAT", { min: -(2 ** 64) }, "-18446744073709551616", "value_smaller_than_min"],
    // `float()` rounds it away from zero before the server compares it.
    ["FLOAT", { min: -(2 ** 64) }, "-18446744073709551615", "value_smaller_than_min"],
    ["FLOAT", { min: -(2 ** 63) }, "-9223372036854775807", "value_smaller_than_min"],
    ["FLOAT", { max: 2 ** 64 }, "18446744073709551615", "value_bigger_than_max"],
  ])("%s: the digits that %j lost are known in a class of ComfyUI's own: %s", (type, range, value, code) => {
    const use = { ...required({ x: [type, range] }), python_module: "comfy_extras.nodes_primitive" };
    expect(errorsOf(judge(use, { x: parseExactJson(value) }))).toEqual([`x:${code}`]);
  });

  test.each([
    ["INT", { min: -(2 ** 63) }, "-9223372036854775808"],
    ["FLOAT", { min: -(2 ** 63) }, "-9223372036854775808.0"],
  ])(
    "%s: the digits that the lower bound %j lost are not guessed in a node pack: %s",
    (type, range, value) => {
      const use = { ...required({ x: [type, range] }), python_module: "custom_nodes.some" };
      expect(judge(use, { x: parseExactJson(value) })).toMatchObject({
        ...nothing,
        notChecked: [{ nodeId: "2", input: "x" }],
      });
    },
  );

  test.each([
    ["INT", { min: -(2 ** 63) }, "-9223372036854775807"],
    ["INT", { min: -(2 ** 64) }, "-18446744073709551615"],
    ["FLOAT", { min: -(2 ** 64), max: 2 ** 64 }, "-1e18"],
  ])("%s: a value within %j is accepted: %s", (type, range, value) => {
    for (const definedIn of ["nodes", "custom_nodes.some"]) {
      const use = { ...required({ x: [type, range] }), python_module: definedIn };
      expect(judge(use, { x: parseExactJson(value) })).toEqual(nothing);
    }
  });

  test("a plain number that was rounded to the smallest whole number is taken for it", () => {
    const use = { ...required({ x: ["INT", { min: -(2 ** 63) }] }), python_module: "nodes" };
    expect(judge(use, { x: -(2 ** 63) })).toEqual(nothing);
  });

  test("a required input that is missing is described: type, range and default", () => {
    const verdict = judge(required({ steps: ["INT", { min: 1, max: 256, default: 1 }] }), {});
    expect(verdict.errors[0]?.message).toBe(
      "Node 2 (Use), steps: it is required; accepted: INT, at least 1, at most 256; its default is 1.",
    );
  });

  test("an annotated file name is left to the class to check", () => {
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
