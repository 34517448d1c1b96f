import { expect, test } from "@jest/globals";
import { GengaClient } from "./genga-client.ts";

const baseUrl = "http://127.0.0.1:8328";

test.each(["a-secret\nurl: x", "a-secret…", "a-secret\0"])(
  "a key that no header can have is refused at once, and not told (%j)",
  (apiKey) => {
    const message = "The header authorization has a character that headers cannot have.";
    expect(() => new GengaClient({ baseUrl, apiKey })).toThrow(new TypeError(message));
    const headers = { "x-api-key": apiKey };
    expect(() => new GengaClient({ baseUrl, headers })).toThrow(/^The header x-api-key has/);
  },
);

test("a line break at the end of a key, as files have it, does no harm", () => {
  expect(() => new GengaClient({ baseUrl, apiKey: "a-key\n" })).not.toThrow();
});
