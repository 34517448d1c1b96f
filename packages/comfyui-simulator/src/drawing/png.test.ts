import { expect, test } from "@jest/globals";
import sharp from "sharp";
import { encodeAnimatedPng, encodeFlatPng, encodePng, flatPixels } from "./png.ts";

const noise = Uint8Array.from({ length: 17 * 9 * 3 }, (_unused, index) => (index * 73 + (index >> 3)) % 256);

test("another reader finds the same pixels and texts", async () => {
  const png = encodePng(
    { width: 17, height: 9, rgb: noise },
    new Map([
      ["prompt", '{"é": 1}'],
      ["other", "日本"],
    ]),
    4,
  );
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, info.channels]).toEqual([17, 9, 3]);
  expect(data.equals(Buffer.from(noise))).toBe(true);
  const { comments } = await sharp(png).metadata();
  expect(comments).toEqual(expect.arrayContaining([{ keyword: "other", text: "日本" }]));
});

test("a flat picture is the same however it was written", async () => {
  const picture = { op: "flat", width: 40, height: 30, color: 0x123456 } as const;
  const pixels = await sharp(encodeFlatPng(picture, new Map())).raw().toBuffer();
  expect(pixels.equals(Buffer.from(flatPixels(picture).rgb))).toBe(true);
});

test("an animated PNG announces its frames and shows the first to readers of still pictures", async () => {
  const frames = [0x000000, 0xffffff].map((color) => flatPixels({ op: "flat", width: 8, height: 8, color }));
  const png = encodeAnimatedPng(frames, 10, new Map(), 4);
  const control = png.indexOf("acTL");
  expect(png.readUInt32BE(control + 4)).toBe(2);
  expect((await sharp(png).raw().toBuffer()).every((value) => value === 0)).toBe(true);
});
