import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { outputStorageKey } from "./output-storage.ts";

const place = { jobId: "0190aaaa-0000-7000-8000-000000000000", attempt: 1, leaseNumber: 3, index: 0 };

test.each([
  ["ComfyUI_00001_.png", "ComfyUI_00001_.png"],
  ["桜 の木.png", "桜_の木.png"],
  ["a \"b\" 'c'.png", "a_b_c_.png"],
  ["../../etc/passwd", "etc_passwd"],
  ["..", "output"],
  ["", "output"],
])("gives %j a safe name", (filename, expected) => {
  expect(outputStorageKey({ ...place, filename })).toBe(`jobs/${place.jobId}/1-3/0-${expected}`);
});

test("no file name leads out of its folder", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (filename) => {
      const parts = outputStorageKey({ ...place, filename }).split("/");
      expect(parts).toHaveLength(4);
      expect(parts[3]).toMatch(/^0-[\p{L}\p{N}._-]+$/u);
    }),
  );
});
