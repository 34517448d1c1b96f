import { describe, expect, test } from "@jest/globals";
import { InvalidJobError, type JobOutput, type MadeJob } from "@genga/jobs";
import fc from "fast-check";
import { NameTemplate, templateShape, type NamedFile } from "./name-template.ts";
import { safeName, UniquePaths } from "./safe-names.ts";

const fileOf = (job: Partial<MadeJob> = {}, output: Partial<JobOutput> = {}): NamedFile => ({
  job: {
    ...{ id: "0190b8a0-0000-7000-8000-000000000001", project: null, scene: null, shot: null, tags: [] },
    ...{ batchId: null, batchName: null, batchIndex: 7, type: "image", promptText: "a cat\n in the  rain" },
    ...{ attempt: 2, ...job },
  } as MadeJob,
  output: {
    ...{ id: "1", attempt: 2, nodeId: "9", index: 3, kind: "file", filename: "ComfyUI_00001_.png" },
    ...{ mediaType: "image/png", ...output },
  } as JobOutput,
  seed: "42",
  mainModel: "checkpoints/anime_v3.safetensors",
});
const pathOf = (template: string, file: NamedFile, paths = new UniquePaths(["manifest.json"])): string =>
  new NameTemplate(template).pathOf(file, paths);

test.each([
  ["{project}/{scene}/{shot}/{index}-{seed}.{ext}", "no-project/no-scene/no-shot/0007-42.png"],
  ["{type}-{model}-{attempt}-{node}-{output}.{ext}", "image-anime_v3-2-9-03.png"],
  ["{prompt}/{name}.{ext}", "a cat in the rain/ComfyUI_00001_.png"],
  ["{batch}/{job}", "no-batch/0190b8a0-0000-7000-8000-000000000001"],
])("%s becomes %s", (template, path) => {
  expect(pathOf(template, fileOf())).toBe(path);
});

test.each([
  [2, "2"],
  [null, "no-attempt"],
])("a file of a job that was answered by reuse has the attempt of its maker: %s", (attempt, shown) => {
  expect(pathOf("{attempt}.{ext}", fileOf({ attempt }, { attempt: 0 }))).toBe(`${shown}.png`);
});

test.each([
  "../x.png",
  "/etc/passwd",
  "a//b",
  "a/",
  "",
  "..",
  "a/./b",
  "C:\\x",
  "{seed",
  "seed}",
  "{}",
  "a/b/c/d/e/f/g/h/i",
  "\ud83d/{seed}",
])("the template %j is refused", (template) => {
  expect(() => new NameTemplate(template)).toThrow(InvalidJobError);
});

test("the pattern in the description of the API accepts what is accepted", () => {
  const accepts = new RegExp(templateShape.pattern);
  const text = fc.stringMatching(/^(\{(seed|ext|sed)\}|[a.{}/\\]){0,12}$/);
  fc.assert(
    fc.property(text, (template) => {
      let isAccepted = true;
      try {
        new NameTemplate(template);
      } catch {
        isAccepted = false;
      }
      expect([template, accepts.test(template)]).toEqual([template, isAccepted]);
    }),
    { numRuns: 2_000 },
  );
});

test("an unknown field is named, members of every object included", () => {
  for (const field of ["sed", "constructor", "__proto__"]) {
    expect(() => new NameTemplate(`{${field}}.png`)).toThrow(`{${field}}`);
  }
});

describe("what stands in a field", () => {
  test.each([
    ["../../etc", "_.._etc"],
    ["a/b\\c", "a_b_c"],
    ["..", "_"],
    [" . ", "_"],
    ["CON", "_CON"],
    ["com1.backup", "_com1.backup"],
    ["lpt¹", "_lpt¹"],
    ["console", "console"],
    ["rain. . ", "rain"],
    ["a\u0000b\u001f\u202ec", "a_b__c"],
    ['<>:"|?*', "_______"],
    ["\ud800", "_"],
    ["🎬".repeat(200), "🎬".repeat(24)],
    ["cafe\u0301", "caf\u00e9"],
  ])("%j makes the name %j", (given, name) => {
    expect(safeName(given, 100)).toBe(name);
  });

  test("makes no folders, and nothing that some system does not take", () => {
    const text = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(
        text,
        text,
        fc.constantFrom("image/png", "video/mp4", "text/html"),
        (project, shot, mediaType) => {
          const path = pathOf(
            "{project}/x{shot}.{ext}",
            fileOf({ project, shot }, { mediaType, filename: shot }),
          );
          const segments = path.split("/");
          expect(segments).toHaveLength(2);
          for (const segment of segments) {
            expect(segment).toMatch(/^[^\p{Cc}\p{Cf}\p{Surrogate}/\\:*?"<>|]+$/u);
            expect(segment).not.toMatch(/^[.\s]|[.\s]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
          }
          expect(Buffer.byteLength(path)).toBeLessThanOrEqual(200);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test("equal names are numbered, whatever their case and composition", () => {
  const paths = new UniquePaths(["manifest.json"]);
  const names = ["Rain", "rain", "RAIN", "caf\u00e9", "cafe\u0301", "straße", "STRASSE"].map((shot) =>
    pathOf("{shot}.{ext}", fileOf({ shot }), paths),
  );
  expect(names).toEqual([
    ...["Rain.png", "rain (2).png", "RAIN (3).png", "caf\u00e9.png", "caf\u00e9 (2).png"],
    ...["straße.png", "STRASSE (2).png"],
  ]);
});

test("a name that looks like a number that was given is told apart as well", () => {
  const paths = new UniquePaths([]);
  const names = ["a (2)", "a", "a", "a"].map((shot) => pathOf("{shot}.{ext}", fileOf({ shot }), paths));
  expect(names).toEqual(["a (2).png", "a.png", "a (3).png", "a (4).png"]);
});

test("nothing takes the place of the manifest", () => {
  const json = { mediaType: "application/json", filename: "x.json" };
  expect(pathOf("{shot}.{ext}", fileOf({ shot: "Manifest" }, json))).toBe("Manifest (2).json");
  expect(pathOf("{shot}/x.{ext}", fileOf({ shot: "MANIFEST.json" }))).toBe("_MANIFEST.json/x.png");
});

test("the extension follows from the content, not from what the server called the file", () => {
  expect(pathOf("a.{ext}", fileOf({}, { mediaType: "image/png", filename: "a.exe" }))).toBe("a.png");
  expect(pathOf("a.{ext}", fileOf({}, { mediaType: "image/jpeg", filename: "a.jpeg" }))).toBe("a.jpeg");
  expect(pathOf("a.{ext}", fileOf({}, { kind: "text", filename: null }))).toBe("a.txt");
});

test("100,000 equal names take time and memory in proportion to their number", () => {
  const paths = new UniquePaths([]);
  let last = "";
  for (let count = 0; count < 100_000; count += 1) last = paths.take("shot/a", ".png");
  expect(last).toBe("shot/a (100000).png");
});
