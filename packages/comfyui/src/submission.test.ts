import { describe, expect, test } from "@jest/globals";

import { prepareForSubmission } from "./submission.ts";

const save = (prefix: unknown) => ({
  "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: prefix } },
});
const prefixOf = (prefix: unknown): unknown =>
  prepareForSubmission(save(prefix), { filenamePrefix: "genga/job-1" })["9"]?.inputs["filename_prefix"];

describe("filename prefixes", () => {
  test.each([
    ["ComfyUI", "genga/job-1/ComfyUI"],
    ["video/ad", "genga/job-1/ad"],
    ["%year%-%month%_%width%x%height%", "genga/job-1/%year%-%month%_%width%x%height%"],
    ["原画 final", "genga/job-1/原画 final"],
    ["../../out", "genga/job-1/out"],
    ["/etc/passwd", "genga/job-1/passwd"],
    ["C:\\temp\\x", "genga/job-1/x"],
    ["a..b", "genga/job-1/a_b"],
    ["..", "genga/job-1/_"],
    ["folder/", "genga/job-1/folder"],
    ["", "genga/job-1/output"],
    ['quo"te\n<x>', "genga/job-1/quo_te__x_"],
  ])("%j becomes %j", (original, expected) => {
    expect(prefixOf(original)).toBe(expected);
  });

  test("that are wrapped as a value are made unique, too", () => {
    expect(prefixOf({ __value__: "../genga/job-0/a" })).toBe("genga/job-1/a");
    const other = { __value__: ["a"] };
    expect(prefixOf(other)).toEqual(other);
  });

  test("that come over a link stay as they are, and so does the graph that was given", () => {
    const workflow = save(["3", 0]);
    expect(prefixOf(["3", 0])).toEqual(["3", 0]);
    const original = save("x");
    prepareForSubmission(original, { filenamePrefix: "p" });
    expect(original).toEqual(save("x"));
    expect(prepareForSubmission(workflow, { filenamePrefix: "p" })).toEqual(workflow);
  });
});
