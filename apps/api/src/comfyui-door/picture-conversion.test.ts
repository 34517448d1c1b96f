import { expect, test } from "@jest/globals";
import { Readable } from "node:stream";
import { type JobOutput } from "@genga/jobs";
import sharp from "sharp";
import { PictureConversions, readConversion } from "./picture-conversion.ts";

const half = sharp({
  create: { width: 16, height: 16, channels: 4, background: { r: 200, g: 100, b: 50, alpha: 0.5 } },
});
const pictureOf = (storageKey: string): JobOutput =>
  ({ storageKey, mediaType: "image/png", bytes: 100 }) as unknown as JobOutput;
const left = new AbortController().signal;

test("pictures of which many are asked for at once are all converted, those of tenants in turn", async () => {
  const png = await half.clone().png().toBuffer();
  const begun: string[] = [];
  const goOn: (() => void)[] = [];
  let onBegun = (): void => undefined;
  const pictures = new PictureConversions({
    read: async (key) => {
      begun.push(key);
      onBegun();
      await new Promise<void>((resolve) => goOn.push(resolve));
      return Readable.from([png]);
    },
  });
  const untilBegun = (count: number): Promise<void> =>
    new Promise((resolve) => {
      onBegun = () => {
        if (begun.length >= count) resolve();
      };
      onBegun();
    });
  const ask = (tenantId: string): Promise<{ mediaType: string }> =>
    pictures.convert(pictureOf(tenantId), readConversion("webp", undefined)!, {
      tenantId,
      waitMs: 30_000,
      left,
    });
  const all = [...Array.from({ length: 12 }, () => ask("studio")), ask("atelier")];
  await untilBegun(4);
  goOn.shift()!();
  await untilBegun(5);
  expect(begun).toEqual(["studio", "studio", "studio", "studio", "atelier"]);
  for (let count = 6; count <= all.length; count += 1) {
    goOn.shift()!();
    await untilBegun(count);
  }
  for (const go of goOn) go();
  expect((await Promise.all(all)).map(({ mediaType }) => mediaType)).toEqual(all.map(() => "image/webp"));
});

test.each<[preview: string, channel: string | undefined, mediaType: string, hasAlpha: boolean]>([
  ["webp", undefined, "image/webp", true],
  ["webp;50", "rgb", "image/webp", false],
  ["jpeg", undefined, "image/jpeg", false],
  ["jpeg;90", "rgba", "image/webp", true],
  // A server knows this format by its whole name only.
  ["jpg", undefined, "image/webp", true],
  ["JPEG", "rgb", "image/webp", false],
])("preview=%s with channel=%s is %s, as of a server", async (preview, channel, mediaType, hasAlpha) => {
  const png = await half.clone().png().toBuffer();
  const pictures = new PictureConversions({ read: () => Promise.resolve(Readable.from([png])) });
  const conversion = readConversion(preview, channel)!;
  const converted = await pictures.convert(pictureOf("a"), conversion, {
    tenantId: "studio",
    waitMs: 30_000,
    left,
  });
  const picture = sharp(converted.bytes);
  expect([converted.mediaType, (await picture.metadata()).hasAlpha]).toEqual([mediaType, hasAlpha]);
  // Without transparency the colour is as it was, and not mixed with black.
  const [red] = await picture.removeAlpha().raw().toBuffer();
  if (!hasAlpha) expect(Math.abs(red! - 200)).toBeLessThan(8);
});
