import { describe, expect, test } from "@jest/globals";
import { InvalidJobError } from "@genga/jobs";
import { standInsOf, withOutputsShown } from "./output-stand-ins.ts";

const named = (from: string, output = 0): object => ({ $output: { from, output } });
const graphOf = (inputs: object, classType = "LoadImage"): object => ({
  workflow: { "1": { class_type: classType, inputs } },
});
const standIn = /^genga\/[0-9a-f]{64}\.png$/;

describe("Outputs in raw graphs", () => {
  test("become names, each output one, and the given graph stays as it is", () => {
    const given = {
      workflow: {
        "1": { class_type: "LoadImage", inputs: { image: named("a") } },
        "2": { class_type: "LoadImage", inputs: { image: named("a"), upload: "image" } },
        "3": { class_type: "LoadImage", inputs: { image: named("a", 1) } },
      },
    };
    const copy = structuredClone(given);
    const { parameters, inputs } = standInsOf("workflow", given);
    expect(given).toEqual(copy);
    expect(inputs).toMatchObject([
      { from: "a", output: 0, kind: "image" },
      { from: "a", output: 1, kind: "image" },
    ]);
    const [first, second] = inputs.map(({ name }) => name);
    expect(first).toMatch(standIn);
    expect(first).not.toBe(second);
    expect(parameters).toMatchObject({
      workflow: {
        "1": { inputs: { image: first } },
        "2": { inputs: { image: first, upload: "image" } },
        "3": { inputs: { image: second } },
      },
    });
    expect(withOutputsShown(parameters as never, inputs)).toEqual(given);
  });

  test("have the same names in the graphs of many jobs, so that these are stored once", () => {
    const one = standInsOf("workflow", graphOf({ image: named("a") }));
    const other = standInsOf("workflow", graphOf({ image: named("b") }));
    expect(one.parameters).toEqual(other.parameters);
  });

  test.each([
    ["LoadImageMask", "image"],
    ["LoadVideo", "video"],
    ["VHS_LoadVideoPath", "video"],
    ["LoadAudio", "audio"],
    ["LoadLatent", null],
    ["TextOfImage", null],
  ])("must be what a %s reads: %s", (classType, kind) => {
    const { inputs } = standInsOf("workflow", graphOf({ file: named("a") }, classType));
    expect(inputs).toMatchObject([{ kind }]);
  });

  test.each([[{ from: "a" }], [{ from: "a", output: -1 }], [{ from: 7, output: 0 }], ["a"], [null]])(
    "are refused as %j, by their place",
    (value) => {
      expect(() => standInsOf("workflow", graphOf({ image: { $output: value } }))).toThrow(InvalidJobError);
    },
  );

  test("leave a graph without any as it is", () => {
    const given = graphOf({ image: "a.png", seed: 7 });
    expect(standInsOf("workflow", given)).toEqual({ parameters: given, uploads: new Map(), inputs: [] });
  });
});

test("Outputs in parameters stand for uploads whose size is not known", () => {
  const { uploads, inputs } = standInsOf("image", {
    initImage: { from: "a", output: 0 },
    mask: { from: "a", output: 0 },
  });
  expect(inputs).toMatchObject([{ from: "a", output: 0, kind: "image" }]);
  expect([...uploads.values()]).toMatchObject([{ width: 0, height: 0 }]);
});
