import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { createWorkflowResolver } from "@genga/workflows";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import fc from "fast-check";
import { judgeName } from "../src/uploads/file-names.ts";

// A small model of how servers find a file (PROTOCOL 8, "annotated names"), held against the judgement of thousands of
// spellings: whatever the model finds in Genga's folders, or outside of the three folders, must be refused.

const sha = "0123456789abcdef".repeat(4);
const job = "0190b8a0-0000-7000-8000-00000000ffff-1";
const loader = { classType: "LoadImage", input: "image" };

const systems = [
  { files: path.posix, root: "/srv/ComfyUI" },
  { files: path.win32, root: "C:\\ComfyUI" },
];

interface Found {
  isInOwnFolder: boolean;
  isOutside: boolean;
}

/** Where a server on this system, started in its own folder, may look for a name. */
function find(name: string, { files, root }: (typeof systems)[number]): Found[] {
  const mark = ["output", "input", "temp"].find((type) => name.endsWith(`[${type}]`));
  const plain =
    mark === undefined
      ? name
      : Array.from(name.slice(0, -mark.length - 2))
          .slice(0, -1)
          .join("");
  const base = files.join(root, mark ?? "input");
  return [files.resolve(base, plain), files.resolve(root, plain)].map((found, index) => {
    const inside = files.relative(root, found).toLowerCase().split(files.sep).map(asWindowsOpens);
    const isOutside = index === 0 && files.relative(base, found).split(files.sep)[0] === "..";
    return {
      isInOwnFolder: ["input", "output", "temp"].includes(inside[0] ?? "") && inside[1] === "genga",
      isOutside: isOutside || (index === 0 && files.isAbsolute(files.relative(base, found))),
    };
  });
}

function asWindowsOpens(part: string): string {
  return (part.split(":")[0] ?? "").replace(/(?<=[^. ])[. ]+$/, "");
}

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
};

const parts = fc.constantFrom(
  ...["genga", "GENGA", "Genga", "gEnGa.", "genga ", "genga:stream", "g%65nga", "%67enga"],
  ...[".", "..", "", ".. ", "x", "input", "output", "temp", "srv", "ComfyUI", "%2e%2e", "%2E", "...", "C:"],
  ...[`${sha}.png`, `${sha} (1).png`, job, `${job}x`, "a.png", "%00", "ｇenga"],
);
const slash = fc.constantFrom("/", "\\", "//", "%2f", "%5C", "/./", "\\.\\");
const start = fc.constantFrom(
  "",
  "",
  "",
  "/",
  "\\",
  "./",
  "../",
  "C:\\",
  "c:/",
  "C:",
  "\\\\host\\share\\",
  " ",
);
const end = fc.constantFrom(
  "",
  "",
  " [input]",
  " [output]",
  " [temp]",
  "?[output]",
  "/[input]",
  "[temp]",
  "/",
);
const spelling = fc
  .tuple(start, fc.array(fc.tuple(parts, slash), { maxLength: 5 }), parts, end)
  .map(([first, middle, last, mark]) => first + middle.flat().join("") + last + mark);

describe("a file's name in a graph", () => {
  test("is refused wherever a server would find it in Genga's folders or outside of its own", () => {
    let refused = 0;
    fc.assert(
      fc.property(spelling, (name) => {
        const found = [name, decoded(name), name.trim()].flatMap((one) =>
          systems.flatMap((s) => find(one, s)),
        );
        const verdict = judgeName(name, loader);
        if (found.some(({ isInOwnFolder, isOutside }) => isInOwnFolder || isOutside)) {
          expect([name, verdict]).not.toEqual([name, undefined]);
          refused += 1;
        }
      }),
      { numRuns: 20_000, seed: 10 },
    );
    // The model must find something for the property to say anything.
    expect(refused).toBeGreaterThan(5_000);
  });

  test("is refused in the same spellings in a text that is linked into a loader", () => {
    fc.assert(
      fc.property(spelling, (name) => {
        const here = find(name, systems[0]!).some(({ isInOwnFolder }) => isInOwnFolder);
        if (here && name.includes("/")) {
          const verdict = judgeName(name, { classType: "PrimitiveString", input: "value" });
          expect([name, verdict]).not.toEqual([name, undefined]);
        }
      }),
      { numRuns: 10_000, seed: 11 },
    );
  });

  test("is left alone where it is an ordinary one", () => {
    const word = fc
      .stringMatching(/^[a-zA-Z0-9_éä猫-]{1,12}$/)
      .filter((one) => one.toLowerCase() !== "genga");
    const ordinary = fc
      .tuple(
        fc.array(word, { maxLength: 3 }),
        fc.constantFrom("/", "\\"),
        word,
        fc.constantFrom("", " [output]"),
      )
      .map(([folders, between, last, mark]) => [...folders, `${last}.png${mark}`].join(between));
    fc.assert(
      fc.property(ordinary, (name) => {
        expect([name, judgeName(name, loader)]).toEqual([name, undefined]);
      }),
      { numRuns: 5_000, seed: 12 },
    );
  });

  test.each([
    [`genga/${sha}.png [output]`, "reserved"],
    [`./genga/${sha}.png`, "reserved"],
    [`genga//${sha}.png`, "reserved"],
    [`x/../genga/${sha}.png`, "reserved"],
    [`/genga/${sha}.png`, "reserved"],
    [`../input/genga/${sha}.png`, "reserved"],
    [`genga/${job}/a_00001_.png [output]`, "reserved"],
    [`GENGA\\${sha}.png`, "reserved"],
    [`g\u200benga/${sha}.png`, "reserved"],
    [`%2567enga%252f${sha}.png`, "reserved"],
    [`"genga/${sha}.png"`, "reserved"],
    ["genga", "reserved"],
    // What stands in front of a mark is cut off with it by servers, and kept by packs.
    ["genga[output]", "reserved"],
    ["..[input]", "traversal"],
    // Windows drops dots and spaces at the end of a part in any order.
    ["genga. ./a.png", "reserved"],
    ["ComfyUI_temp_abcde_00001_.png [temp]", "temporary"],
    ["ComfyUI_temp_abcde_00001_.png%20[temp]", "temporary"],
    ["PreviewBridge/PB-0001.png [TEMP]", "temporary"],
    ["../models/secret.png", "traversal"],
    ["..", "traversal"],
    ["/etc/passwd", "absolute"],
    ["D:secret.png", "absolute"],
    ["file:///etc/passwd", "absolute"],
    ["~/secret.png", "absolute"],
  ])("%s is %s", (name, verdict) => {
    expect(judgeName(name, loader)).toBe(verdict);
  });

  test.each([
    ["CLIPTextEncode", "text", "genga/douga, ../, /\\/\\, C:/"],
    ["PrimitiveStringMultiline", "value", "genga, key animation, 1girl :/ and/or ..."],
    ["PrimitiveString", "value", "genga"],
    ["PrimitiveString", "value", "a room at 20 degrees [temp]"],
    ["RegexExtract", "regex_pattern", "\\d+/\\w+"],
    ["StringConcatenate", "delimiter", "/"],
    ["LoraLoader", "lora_name", "genga/lineart.safetensors"],
    ["LoadImage", "image", "clipspace/clipspace-mask-1.png [input]"],
    ["KSampler", "sampler_name", "euler"],
    ["LoadImageFromUrl", "url", "https://example.org/a/b.png"],
  ])("%s may have %s: %s", (classType, input, text) => {
    expect(judgeName(text, { classType, input })).toBeUndefined();
  });

  test("of a folder behind a drive's letter is refused in a text that is linked into a loader", () => {
    const place = { classType: "PrimitiveString", input: "value" };
    expect(judgeName("x/C:/genga/a.png", place)).toBe("reserved");
  });

  test("of a preview is refused in a text that is linked into a loader", () => {
    const place = { classType: "PrimitiveString", input: "value" };
    expect(judgeName("ComfyUI_temp_abcde_00001_.png [temp]", place)).toBe("temporary");
  });

  test("is judged in no more time than its length asks for", () => {
    const long = [" ".repeat(500_000), "/".repeat(500_000), ".".repeat(500_000), `%${"25".repeat(250_000)}`];
    for (const text of [...long, "../".repeat(200_000), "[input]".repeat(70_000), "%67".repeat(150_000)]) {
      const startedAt = performance.now();
      judgeName(`x${text}y`, loader);
      judgeName(text, loader);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
  });

  test.each([
    ["LoadImage", "image", `${"../".repeat(50_000)}etc/passwd`, "too-long"],
    ["LoadImage", "image", `${"./".repeat(50_001)}genga/${sha}.png`, "too-long"],
    ["LoadImage", "image", `/${"%2e".repeat(50_000)}`, "too-long"],
    ["ETN_LoadImageBase64", "image", "abc/+DEF".repeat(20_000), undefined],
    ["PrimitiveStringMultiline", "value", "and/or ... 50% of it ".repeat(10_000), undefined],
  ])(
    "in %s, %s, is refused if it is longer than any, and not taken for one if it is data",
    (classType, input, text, verdict) => {
      expect(judgeName(text, { classType, input })).toBe(verdict);
    },
  );
});

describe("a raw graph", () => {
  const resolver = createWorkflowResolver({ definitions: () => Promise.resolve([]) });
  const problemsOf = async (inputs: object, classType = "LoadImage"): Promise<JobProblem[]> => {
    const workflow = {
      "1": { class_type: classType, inputs },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "genga/../x" } },
    };
    try {
      await resolver.resolve(
        "workflow",
        { workflow },
        { tenantId: "0190b8a0-0000-7000-8000-000000000001", operates: false },
      );
      return [];
    } catch (error) {
      if (error instanceof InvalidJobError) return error.problems;
      throw error;
    }
  };

  test.each<[string, object, string]>([
    ["an input", { image: `genga/${job}/a.png [output]` }, "image"],
    ["a dotted member", { "source.file": `./genga/${sha}.png` }, "source.file"],
    ["a wrapped value", { image: { __value__: `x/../genga/${sha}.png` } }, "image"],
    ["a wrapped list", { images: { __value__: ["a.png", `genga//${sha}.png`] } }, "images"],
    ["a wrapped prefix", { filename_prefix: { __value__: `genga/${job}/x` } }, "filename_prefix"],
  ])("is refused for a name in %s, with node and input", async (_place, inputs, input) => {
    const problems = await problemsOf(inputs);
    expect(problems).toMatchObject([
      { path: `workflow.1.inputs.${input}`, code: "forbidden-file", nodeId: "1", input },
    ]);
    expect(problems[0]?.message).toMatch(new RegExp(`^Node 1: ${input.replace(".", "\\.")} `));
    expect(problems[0]?.message).not.toMatch(/genga\/(?!\w)|folder genga/);
  });

  test("may save under any prefix, since the prefix is replaced", async () => {
    expect(await problemsOf({ image: "start.png" })).toEqual([]);
  });

  test("is told of an upload that it does not have in the same words as of one that nobody has", async () => {
    expect(await problemsOf({ image: `genga/${sha}.png [input]` })).toMatchObject([
      { code: "unknown-upload" },
    ]);
  });
});
