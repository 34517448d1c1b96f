import { expect, test } from "@jest/globals";
import { remarksOnAll } from "./batch-remarks.ts";

test("remarks that many jobs of a batch share are listed once", () => {
  expect(remarksOnAll([["a", "b"], [], ["b", "c"]])).toEqual(["a", "b", "c"]);
});

test("more than a thousand remarks on a batch are cut to a thousand, and a last one says that there are more", () => {
  const remarks = remarksOnAll(
    Array.from({ length: 3 }, (_job, job) => Array.from({ length: 400 }, (_each, each) => `${job}-${each}`)),
  );
  expect(remarks).toHaveLength(1_001);
  expect(remarks.at(-1)).toContain("more remarks");
});
