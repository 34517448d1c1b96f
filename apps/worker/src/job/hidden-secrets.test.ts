import { describe, expect, test } from "@jest/globals";
import { parseExactJson } from "@genga/comfyui";
import { HiddenSecrets } from "./hidden-secrets.ts";

const key = "comfyui-4711-secret-words";

describe("a secret", () => {
  test("is cut out of a text wherever it stands, at any depth of the given data", () => {
    const secrets = new HiddenSecrets({ api_key_comfy_org: key, more: [{ token: "token-4711" }] });
    expect(secrets.hideIn(`${key} is no key, nor is token-4711 (${key})`)).toBe(
      "*** is no key, nor is *** (***)",
    );
  });

  test("is cut out whole where it begins with another one", () => {
    expect(new HiddenSecrets({ one: key, other: `${key}-and-more` }).hideIn(`${key}-and-more`)).toBe("***");
  });

  test.each<[string, string, string]>([
    ["as JSON writes it", 'secret "quoted"\\words', String.raw`secret \"quoted\"\\words`],
    ["as Python shows it", 'secret "quoted"\\words', String.raw`secret "quoted"\\words`],
    [
      "as Python's JSON writes it",
      "秘密の鍵、とても長い",
      JSON.stringify("秘密の鍵、とても長い").slice(1, -1),
    ],
    ["in ASCII only", "clé secrète", String.raw`cl\u00e9 secr\u00e8te`],
    ["in a URL", "secret/words+more", "secret%2Fwords%2Bmore"],
  ])("is cut out %s", (_name, secret, spelling) => {
    expect(new HiddenSecrets({ secret }).hideIn(`given: ${spelling}.`)).toBe("given: ***.");
  });

  test.each(["4711471147", "18446744073709551615"])("may be a number: %s", (number) => {
    const secrets = new HiddenSecrets(parseExactJson(`{"account":${number}}`));
    expect(secrets.hideIn(`no account ${number}`)).toBe("no account ***");
  });

  test("that is short, or neither text nor number, is not cut out", () => {
    const secrets = new HiddenSecrets({ a: "short", b: 7, c: true, d: null });
    expect(secrets.hideIn("short, 7, true, null")).toBe("short, 7, true, null");
  });

  test.each(Array.from({ length: key.length - 1 }, (_, index) => index + 1))(
    "does not show in part where a long message was cut off %i characters into it",
    (place) => {
      const [begin, end] = [key.slice(0, place), key.slice(place)];
      const cut = [
        `no key ${begin}`,
        `no key ${begin}…`,
        `no key ${begin}\n… (70 characters are left out)\n${end}: no`,
      ];
      // The rest of a cut secret may be so short that it may stand anywhere.
      for (const text of cut.map((each) => new HiddenSecrets({ key }).hideIn(each))) {
        expect(text).toMatch(/^no key /);
        expect(text).not.toContain(key.slice(0, 8));
        expect(text).not.toContain(key.slice(-8));
      }
    },
  );
});
