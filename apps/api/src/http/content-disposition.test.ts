import { expect, test } from "@jest/globals";
import { parse } from "content-disposition";
import fc from "fast-check";
import { contentDisposition, isSafeToShow } from "./content-disposition.ts";

test.each([
  ["genga_00001_.png", `inline; filename=genga_00001_.png`],
  ["a b.png", `inline; filename="a b.png"`],
  ["原画.png", `inline; filename=__.png; filename*=UTF-8''%E5%8E%9F%E7%94%BB.png`],
  ["🌸.png", `inline; filename=_.png; filename*=UTF-8''%F0%9F%8C%B8.png`],
  [`a"; x="b.png`, `inline; filename="a__ x=_b.png"; filename*=UTF-8''a%22%3B%20x%3D%22b.png`],
  [`a%22.png`, `inline; filename=a_22.png; filename*=UTF-8''a%2522.png`],
  ["../../etc/passwd", `inline; filename=_.._etc_passwd`],
  ["C:\\x\\y.png", `inline; filename="C:_x_y.png"`],
  ["a\r\nset-cookie: x", `inline; filename="a__set-cookie: x"`],
  ["a\u2028b\u0085c.png", `inline; filename=a_b_c.png`],
  ["photo_\u202egpj.exe", `inline; filename=photo__gpj.exe`],
  ["...", `inline; filename=output`],
  ["", `inline; filename=output`],
])("the name %j is sent as %s", (name, expected) => {
  expect(contentDisposition("inline", name)).toBe(expected);
});

test.each(["x", "é", "原", "🌸"])("of a name of 255 bytes its end stays: %s", (character) => {
  const name = `${character.repeat(Math.floor(251 / Buffer.byteLength(character)))}.png`;
  const { parameters } = parse(contentDisposition("attachment", name));
  expect(parameters["filename"]).toMatch(new RegExp(`^${character}+\\.png$`, "u"));
  expect(Buffer.byteLength(parameters["filename"]!)).toBeGreaterThan(190);
  expect(Buffer.byteLength(parameters["filename"]!)).toBeLessThanOrEqual(200);
});

test("no name whatever breaks out of its header", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (name) => {
      const header = contentDisposition("attachment", name);
      expect(header).toMatch(
        /^attachment; filename=("[^"\\%;]+"|[^"\\%; ]+)(; filename\*=UTF-8''[\w.~!*%$&+^`|#-]+)?$/,
      );
      expect(header).toMatch(/^[\x20-\x7e]+$/);
      const { type, parameters } = parse(header);
      expect(type).toBe("attachment");
      expect(parameters["filename"]).not.toMatch(/^\.|[\p{Cc}\p{Cf}\p{Surrogate}/\\]/u);
      expect(parameters["filename"]).not.toBe("");
    }),
  );
});

test.each([
  ["image/png", true],
  ["video/mp4", true],
  ["text/plain; charset=utf-8", false],
  ["image/tiff", true],
  ["audio/ogg; codecs=opus", true],
  ["video/x-matroska", true],
  ["image/x-exr", false],
  ["model/gltf-binary", false],
  ["application/json", false],
  ["image/svg+xml", false],
  ["text/html", false],
  ["application/pdf", false],
  ["image/pngx", false],
])("%s is shown in a browser: %s", (mediaType, expected) => {
  expect(isSafeToShow(mediaType)).toBe(expected);
});
