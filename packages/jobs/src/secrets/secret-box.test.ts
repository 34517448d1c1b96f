import { describe, expect, test } from "@jest/globals";
import { SecretBox, SecretBoxError } from "./secret-box.ts";

const [oldKey, newKey] = ["an old key of some length", "a new key of some length"];
const text = '{"api_key_comfy_org":"鍵"}';

describe("a secret box", () => {
  test("decrypts a text only for the row that it was encrypted for", () => {
    const box = new SecretBox([newKey]);
    const sealed = box.seal(text, "jobs/1/extra-data");
    expect(box.open(new Uint8Array(sealed), "jobs/1/extra-data")).toBe(text);
    expect(() => box.open(sealed, "jobs/2/extra-data")).toThrow(SecretBoxError);
    expect(box.seal(text, "jobs/1/extra-data").equals(sealed)).toBe(false);
    expect(sealed.includes("api_key")).toBe(false);
  });

  test("refuses a text that was changed in any byte, was cut off, or never was encrypted", () => {
    const box = new SecretBox([newKey]);
    const sealed = box.seal(text, "row");
    for (let index = 0; index < sealed.length; index += 1) {
      const changed = Buffer.from(sealed);
      changed[index]! ^= 1;
      expect(() => box.open(changed, "row")).toThrow(SecretBoxError);
      expect(() => box.open(sealed.subarray(0, index), "row")).toThrow(SecretBoxError);
    }
  });

  test("decrypts texts of older keys as long as those are configured, and encrypts with the newest key", () => {
    const sealed = new SecretBox([oldKey]).seal(text, "row");
    const both = new SecretBox([newKey, oldKey]);
    expect(both.open(sealed, "row")).toBe(text);
    expect(new SecretBox([newKey]).open(both.seal(text, "row"), "row")).toBe(text);
    expect(() => new SecretBox([newKey]).open(sealed, "row")).toThrow("a SECRETS_KEY that is not set here");
  });
});
