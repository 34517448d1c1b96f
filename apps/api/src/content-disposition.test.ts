import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { contentDisposition, isSafeToShow } from "./content-disposition.ts";

test.each([
  ["genga_00001_.png", `inline; filename="genga_00001_.png"; filename*=UTF-8''genga_00001_.png`],
  ["a b.png", `inline; filename="a b.png"; filename*=UTF-8''a%20b.png`],
  ["原画.png", `inline; filename="__.png"; filename*=UTF-8''%E5%8E%9F%E7%94%BB.png`],
  ['a"; x="b.png', `inline; filename="a__ x=_b.png"; filename*=UTF-8''a%22%3B%20x%3D%22b.png`],
  ["../../etc/passwd", `inline; filename="_.._etc_passwd"; filename*=UTF-8''_.._etc_passwd`],
  ["a\r\nset-cookie: x", `inline; filename="a__set-cookie: x"; filename*=UTF-8''a__set-cookie%3A%20x`],
  ["...", `inline; filename="output"; filename*=UTF-8''output`],
])("the name %j is sent as %s", (name, expected) => {
  expect(contentDisposition("inline", name)).toBe(expected);
});

test("no name whatever breaks out of its header", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (name) => {
      const header = contentDisposition("attachment", name);
      expect(header).toMatch(/^attachment; filename="[\x20-\x7e]+"; filename\*=UTF-8''[\w.~!*%-]+$/);
      expect(header.split('"')).toHaveLength(3);
      expect(() => decodeURIComponent(header.split("''")[1] ?? "%")).not.toThrow();
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
