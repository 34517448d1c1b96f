import { expect, test } from "@jest/globals";
import { SignedLinks, tokenPattern, type LinkedThing } from "./signed-links.ts";

const [first, second] = ["00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"];
const tenantId = "0190b8a0-0000-7000-8000-000000000001";
const output: LinkedThing = { kind: "output", id: "0190b8a0-0000-7000-8000-000000000002" };
const expiresAt = new Date("2026-03-01T12:00:00Z");
const before = new Date("2026-03-01T11:59:59Z");
const links = new SignedLinks([first]);
const token = links.sign(output, tenantId, expiresAt);

test("a token is valid until it expires, and names its tenant", () => {
  expect(token).toMatch(new RegExp(tokenPattern));
  expect(links.check(token, output, before)).toEqual({ tenantId, expiresAt });
  expect(links.check(token, output, expiresAt)).toBe("expired");
});

test.each<[string, LinkedThing]>([
  ["another output", { kind: "output", id: tenantId }],
  ["a batch of the same id", { kind: "batch-zip", id: output.id, names: "" }],
])("a token is not valid for %s", (_, thing) => {
  expect(links.check(token, thing, before)).toBe("forged");
});

test("the names of a zip's files belong to what was signed", () => {
  const zip = { kind: "batch-zip", id: output.id, names: "{job}" } as const;
  const ofZip = links.sign(zip, tenantId, expiresAt);
  expect(links.check(ofZip, zip, before)).toMatchObject({ tenantId });
  expect(links.check(ofZip, { ...zip, names: "{seed}" }, before)).toBe("forged");
});

test("no bit of a token can be changed: not the tenant, not the expiry", () => {
  const bytes = Buffer.from(token, "base64url");
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect([bit, links.check(changed.toString("base64url"), output, before)]).toEqual([bit, "forged"]);
  }
});

test.each(["", "x", `${token}x`, `${token}=`, token.slice(0, -1), token.replaceAll(/./g, "A"), "é"])(
  "the text %j is no token",
  (text) => {
    expect(links.check(text, output, before)).toBe("forged");
  },
);

test("while keys are changed, tokens of the old key are valid; afterwards they are not", () => {
  expect(new SignedLinks([second, first]).check(token, output, before)).toMatchObject({ tenantId });
  expect(new SignedLinks([second]).check(token, output, before)).toBe("forged");
  const ofNew = new SignedLinks([second, first]).sign(output, tenantId, expiresAt);
  expect(new SignedLinks([second]).check(ofNew, output, before)).toMatchObject({ tenantId });
});

test("without SECRETS_KEY nothing is signed and nothing valid", () => {
  const none = new SignedLinks([]);
  expect([none.canSign, none.check(token, output, before)]).toEqual([false, "forged"]);
});
