import { describe, expect, test } from "@jest/globals";
import { exactJsonText } from "./exact-json.ts";

describe("exact JSON", () => {
  test("writes a bigint as a number with all of its digits, and everything else as JSON has it", () => {
    const value = { seed: 18446744073709551615n, list: [-9007199254740993n, 1.5, "7"], none: undefined };
    expect(exactJsonText(value)).toBe('{"seed":18446744073709551615,"list":[-9007199254740993,1.5,"7"]}');
    expect(exactJsonText({ a: "bigint-1:2" })).toBe('{"a":"bigint-1:2"}');
  });

  test.each([2 ** 53, -(2 ** 53), 2 ** 64])("does not send %d, which may have been rounded", (seed) => {
    expect(() => exactJsonText({ sampler: { seed } })).toThrow(/^seed: .*beyond 2\^53−1/);
  });

  test.each([2 ** 53 - 1, 1e30, 0.1])("sends the number %d", (number) => {
    expect(exactJsonText([number])).toBe(JSON.stringify([number]));
  });
});
