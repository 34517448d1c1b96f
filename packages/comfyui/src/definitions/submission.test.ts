import { describe, expect, test } from "@jest/globals";

import { objectInfoSchema } from "../classes/object-info.ts";
import { cacheInput, prepareForSubmission } from "./submission.ts";

const save = (prefix: unknown) => ({
  "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: prefix } },
});
const options = { prefix: "genga/folder/file-", objectInfo: {}, resultsOf: "tenant" };
const prefixOf = (prefix: unknown): unknown =>
  prepareForSubmission(save(prefix), options)["9"]?.inputs["filename_prefix"];

describe("filename prefixes", () => {
  test.each([
    ["ComfyUI", "genga/folder/file-ComfyUI"],
    ["video/ad", "genga/folder/file-ad"],
    ["%year%-%month%_%width%x%height%", "genga/folder/file-%year%-%month%_%width%x%height%"],
    ["原画 final", "genga/folder/file-原画 final"],
    ["../../out", "genga/folder/file-out"],
    ["/etc/passwd", "genga/folder/file-passwd"],
    ["C:\\temp\\x", "genga/folder/file-x"],
    ["a..b", "genga/folder/file-a_b"],
    ["..", "genga/folder/file-_"],
    ["folder/", "genga/folder/file-folder"],
    ["", "genga/folder/file-output"],
    ['quo"te\n<x>', "genga/folder/file-quo_te__x_"],
  ])("%j becomes %j", (original, expected) => {
    expect(prefixOf(original)).toBe(expected);
  });

  test("that are wrapped as a value are made unique, too", () => {
    expect(prefixOf({ __value__: "../genga/job-0/a" })).toBe("genga/folder/file-a");
  });

  test("that come over a link are replaced: where they lead is only known at run time", () => {
    expect(prefixOf(["3", 0])).toBe("genga/folder/file-output");
    expect(prefixOf({ __value__: ["a"] })).toBe("genga/folder/file-output");
    expect(prefixOf(7)).toBe("genga/folder/file-7");
  });

  test("that are members of a group are made unique, too, and other inputs are left alone", () => {
    const inputs = {
      "format.filename_prefix": "../a",
      format: "mp4",
      filename_prefixes: "b",
      text: "filename_prefix",
    };
    const prepared = prepareForSubmission({ "1": { class_type: "SaveAnything", inputs } }, options);
    expect(prepared["1"]?.inputs).toEqual({ ...inputs, "format.filename_prefix": "genga/folder/file-a" });
  });

  test("that a graph leaves to the node are given where its class takes one", () => {
    const optional = objectInfoSchema.parse({
      SaveText: { input: { optional: { filename_prefix: ["STRING"] } } },
      Other: { input: {} },
    });
    const workflow = {
      "1": { class_type: "SaveText", inputs: {} },
      "2": { class_type: "Other", inputs: {} },
    };
    const prepared = prepareForSubmission(workflow, { ...options, objectInfo: optional });
    expect([prepared["1"]?.inputs, prepared["2"]?.inputs]).toEqual([
      { filename_prefix: "genga/folder/file-output" },
      {},
    ]);
  });

  test("stay short enough for a file system, in whole characters", () => {
    const prefix = String(prefixOf("猫".repeat(90)));
    expect(Buffer.byteLength(prefix)).toBeLessThanOrEqual(200);
    expect(prefix.endsWith("猫")).toBe(true);
  });

  test("are not written into the graph that was given", () => {
    const original = save("x");
    prepareForSubmission(original, options);
    expect(original).toEqual(save("x"));
  });
});

describe("results of nodes with hidden inputs", () => {
  const objectInfo = objectInfoSchema.parse({
    PreviewImage: {
      input: { required: { images: ["IMAGE"] }, hidden: { prompt: "PROMPT", pnginfo: ["EXTRA_PNGINFO"] } },
    },
    PartnerImage: { input: { hidden: { key: ["API_KEY_COMFY_ORG"], id: ["UNIQUE_ID"] } } },
    SaveImage: {
      input: { required: { images: ["IMAGE"], filename_prefix: ["STRING"] }, hidden: { prompt: "PROMPT" } },
    },
    CheckpointLoaderSimple: { input: { required: { ckpt_name: [["a"]] } } },
    Switch: { input: { hidden: { id: "UNIQUE_ID" } } },
    NewerSwitch: { input: { hidden: { unique_id: ["UNIQUE_ID"] } } },
    Unreadable: { input: "odd" },
  });
  const inputsOf = (classType: string, inputs: Record<string, unknown> = {}): unknown =>
    prepareForSubmission({ "1": { class_type: classType, inputs } }, { ...options, objectInfo })["1"]?.inputs;

  test.each(["PreviewImage", "PartnerImage", "Unreadable", "Unknown"])("of %s are separated", (classType) => {
    expect(inputsOf(classType, { images: ["2", 0] })).toEqual({ images: ["2", 0], [cacheInput]: "tenant" });
  });

  test("are separated whatever the graph says for it", () => {
    expect(inputsOf("PartnerImage", { [cacheInput]: "another tenant" })).toEqual({ [cacheInput]: "tenant" });
  });

  test("are separated by their prefix where they have one", () => {
    expect(inputsOf("SaveImage", { filename_prefix: "a" })).toEqual({
      filename_prefix: "genga/folder/file-a",
    });
  });

  test.each(["CheckpointLoaderSimple", "Switch", "NewerSwitch"])(
    "are not those of %s, which stay shared",
    (classType) => {
      expect(inputsOf(classType, { ckpt_name: "a" })).toEqual({ ckpt_name: "a" });
    },
  );
});
