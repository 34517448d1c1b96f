import { expect, test } from "@jest/globals";
import { remarksOnAll } from "./batch-remarks.ts";

test("a batch says once what is said of many of its jobs", () => {
  expect(remarksOnAll([["a", "b"], [], ["b", "c"]])).toEqual(["a", "b", "c"]);
});

test("ten thousand jobs with hundreds of remarks each are answered with a thousand, and with the word that there are more", () => {
  const remarks = remarksOnAll(
    Array.from({ length: 3 }, (_job, job) => Array.from({ length: 400 }, (_each, each) => `${job}-${each}`)),
  );
  expect(remarks).toHaveLength(1_001);
  expect(remarks.at(-1)).toContain("more to say");
});
