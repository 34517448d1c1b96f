import { randomBytes } from "node:crypto";
import { cacheInput } from "@genga/comfyui";
import { describe, expect, test } from "@jest/globals";
import { ServerNames } from "./server-names.ts";

const secrets = { one: randomBytes(32), other: randomBytes(32) };
const picture = `genga/${"ab".repeat(32)}.png`;
const namesOf = (tenantSecret: Uint8Array, { jobId = "0190b8a0-job", attempt = 1 } = {}): ServerNames =>
  new ServerNames({ tenantSecret, jobId, attempt }, ["key"], () => [picture]);

describe("names on servers", () => {
  test("of the same upload are another tenant's own, in folder and file, and say nothing of its content", () => {
    const [one, other] = [namesOf(secrets.one), namesOf(secrets.other)].map((names) =>
      names.uploadPlace(picture)!,
    );
    expect(one!.subfolder).toMatch(/^genga\/[0-9a-f]{32}$/);
    expect(one!.filename).toMatch(/^[0-9a-f]{32}\.png$/);
    expect(one!.subfolder).not.toBe(other!.subfolder);
    expect(one!.filename).not.toBe(other!.filename);
    expect(namesOf(secrets.one, { attempt: 7 }).uploadPlace(`${picture} [input]`)).toEqual(one);
    expect(namesOf(secrets.one).uploadPlace("somebody's.png")).toBeNull();
  });

  test("of outputs are another attempt's own, in folder and file", () => {
    const prefixes = [
      namesOf(secrets.one),
      namesOf(secrets.one, { attempt: 2 }),
      namesOf(secrets.one, { jobId: "0190b8a0-other" }),
      namesOf(secrets.other),
    ].map((names) => names.outputPrefix);
    for (const prefix of prefixes) expect(prefix).toMatch(/^genga\/[0-9a-f]{32}\/[0-9a-f]{32}-$/);
    const parts = prefixes.flatMap((prefix) => prefix.split("/").slice(1));
    expect(new Set(parts).size).toBe(parts.length);
  });
});

test("what a server lists of an attempt's outputs is shown without the names that the attempt has", () => {
  const names = namesOf(secrets.one);
  const [, folder, beginning] = names.outputPrefix.split("/");
  const shown = [
    `genga/${folder}`,
    `${beginning}ComfyUI_00001_.png`,
    `${"ab".repeat(16)}-of-the-user`,
    "text",
  ];
  expect(shown.map((text) => names.shownPart(text))).toEqual(["", "ComfyUI_00001_.png", shown[2], "text"]);
});

describe("whom a server may give results of nodes with hidden inputs", () => {
  test("is another tenant's own, and other secrets' own", () => {
    const all = [secrets.one, secrets.other].flatMap((tenantSecret) =>
      [{}, { api_key_comfy_org: "a" }, { api_key_comfy_org: "b" }].map((given) =>
        namesOf(tenantSecret).resultsOf(given),
      ),
    );
    for (const each of all) expect(each).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(all).size).toBe(6);
    expect(namesOf(secrets.one, { jobId: "0190b8a0-other", attempt: 2 }).resultsOf({})).toBe(all[0]);
  });

  test("stands in no graph that clients see", () => {
    const own = namesOf(secrets.one).resultsOf({});
    const said = [
      { images: ["1", 0], [cacheInput]: own },
      { [cacheInput]: own },
      { [cacheInput]: own, images: ["1", 0] },
    ].map((inputs) => JSON.stringify({ "2": { inputs, class_type: "PreviewImage" } }));
    expect(
      [...said, said[0]!.replaceAll(/([:,])/g, "$1 ")].map((text) => namesOf(secrets.one).shownText(text)),
    ).toEqual([
      '{"2":{"inputs":{"images":["1",0]},"class_type":"PreviewImage"}}',
      '{"2":{"inputs":{},"class_type":"PreviewImage"}}',
      '{"2":{"inputs":{"images":["1",0]},"class_type":"PreviewImage"}}',
      '{"2": {"inputs": {"images": ["1", 0]}, "class_type": "PreviewImage"}}',
    ]);
  });
});

describe("what clients see", () => {
  test("is the public name wherever a server says its own, and any other text as it is", () => {
    const names = namesOf(secrets.one);
    const place = names.uploadPlace(picture)!;
    const folder = names.outputPrefix.split("/")[1]!;
    const said = [
      `Invalid image file: ${place.subfolder}/${place.filename}`,
      `C:\\\\input\\\\${place.subfolder.replace("/", "\\\\")}\\\\${place.filename}`,
      `{"filename_prefix": "${names.outputPrefix}hero"}`,
      `genga/${folder}/${"0".repeat(32)}-x and genga and ${picture}`,
    ];
    expect(said.map((text) => names.shownText(text))).toEqual([
      `Invalid image file: ${picture}`,
      `C:\\\\input\\\\${picture}`,
      '{"filename_prefix": "genga/0190b8a0-job-1/hero"}',
      said[3],
    ]);
  });

  test("is the public name also of a prompt that was submitted under an older key, or under none", () => {
    const leased = { tenantSecret: secrets.one, jobId: "0190b8a0-job", attempt: 1 };
    const successor = new ServerNames(leased, ["new", "old"], () => [picture]);
    for (const keys of [["new"], ["old"], []]) {
      const names = new ServerNames(leased, keys);
      const place = names.uploadPlace(picture)!;
      const said = `${place.subfolder}/${place.filename} and ${names.outputPrefix}hero`;
      expect(successor.shownText(said)).toBe(`${picture} and genga/0190b8a0-job-1/hero`);
    }
  });

  test("of an output is the name that its graph asked for, also when SECRETS_KEY has changed since, or there was none", () => {
    const names = namesOf(secrets.one);
    const [, folder = "", file = ""] = new ServerNames(
      { tenantSecret: secrets.one, jobId: "0190b8a0-job", attempt: 1 },
      [],
    ).outputPrefix.split("/");
    const shown = (subfolder: string, filename: string): string =>
      names.shownFilename({ subfolder, filename });
    expect(shown(`genga/${folder}`, `${file}hero_00001_.png`)).toBe("hero_00001_.png");
    // Submitted by an earlier version.
    expect(shown("genga/0190b8a0-job-1", "hero_00001_.png")).toBe("hero_00001_.png");
    const foreign = `${"0".repeat(32)}-hero.png`;
    expect(shown("elsewhere", foreign)).toBe(foreign);
  });

  test("of a preview holds nothing that tells the names of other previews", () => {
    const names = namesOf(secrets.one);
    const shown = names.shownFilename({ subfolder: "", filename: "ComfyUI_temp_abcde_00001_.png" });
    expect(shown).toBe("ComfyUI_temp_00001_.png");
    expect(names.shownText("saved: temp/ComfyUI_temp_abcde_00001_.png")).toBe(`saved: temp/${shown}`);
    const own = "my_temp_lower_case";
    expect([names.shownText(own), names.shownFilename({ subfolder: "", filename: own })]).toEqual([own, own]);
  });
});
