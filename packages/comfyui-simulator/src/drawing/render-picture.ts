import { LRUCache } from "lru-cache";
import sharp, { type KernelEnum, type Sharp } from "sharp";
import { type BlendMode, type Picture } from "./picture.ts";
import { flatPixels, type Pixels } from "./png.ts";
import { paintScene } from "./paint-scene.ts";

/**
 * At most this many rendered scenes are kept, because the same scene is needed several times (previews, then the
 * result).
 */
const kept = new LRUCache<string, Pixels>({ max: 4 });

/** Makes the pixels of a picture. */
export async function renderPicture(picture: Picture): Promise<Pixels> {
  if (picture.op === "flat") return flatPixels(picture);
  const key = JSON.stringify(picture);
  const known = kept.get(key);
  if (known) return known;
  const pixels = await render(picture);
  kept.set(key, pixels);
  return pixels;
}

async function render(picture: Exclude<Picture, { op: "flat" }>): Promise<Pixels> {
  const { width, height } = picture;
  switch (picture.op) {
    case "scene":
      return paintScene(picture);
    case "file":
      return toPixels(
        sharp(picture.path).rotate().flatten({ background: "#000000" }).toColourspace("srgb"),
        picture,
      );
    case "scale": {
      const fit = picture.crop ? "cover" : "fill";
      const kernel = kernels.get(picture.method) ?? "linear";
      return toPixels((await sharpOf(picture.source)).resize({ width, height, fit, kernel }), picture);
    }
    case "crop": {
      const { left, top } = picture;
      return toPixels((await sharpOf(picture.source)).extract({ left, top, width, height }), picture);
    }
    case "invert":
      return toPixels((await sharpOf(picture.source)).negate({ alpha: false }), picture);
    case "blur":
      return toPixels((await sharpOf(picture.source)).blur(Math.max(0.3, picture.sigma)), picture);
    case "blend": {
      const below = await renderPicture(picture.below);
      const above = await renderPicture({
        op: "scale",
        width,
        height,
        source: picture.above,
        method: "bicubic",
        crop: true,
      });
      return { width, height, rgb: blend(below.rgb, above.rgb, picture.factor, mixers[picture.mode]) };
    }
  }
}

const kernels = new Map<string, keyof KernelEnum>([
  ["nearest-exact", "nearest"],
  ["bilinear", "linear"],
  ["area", "linear"],
  ["bicubic", "cubic"],
  ["bislerp", "cubic"],
  ["lanczos", "lanczos3"],
]);

/** For each blend mode, how two values from 0 to 1 become one. */
const mixers: Readonly<Record<BlendMode, (below: number, above: number) => number>> = {
  normal: (_below, above) => above,
  multiply: (below, above) => below * above,
  screen: (below, above) => 1 - (1 - below) * (1 - above),
  overlay: (below, above) => (below <= 0.5 ? 2 * below * above : 1 - 2 * (1 - below) * (1 - above)),
  soft_light: (below, above) =>
    above <= 0.5
      ? below - (1 - 2 * above) * below * (1 - below)
      : below + (2 * above - 1) * (Math.sqrt(below) - below),
  difference: (below, above) => Math.abs(below - above),
};

async function sharpOf(picture: Picture): Promise<Sharp> {
  const { width, height, rgb } = await renderPicture(picture);
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}

async function toPixels(image: Sharp, size: { width: number; height: number }): Promise<Pixels> {
  const { data, info } = await image.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  if (info.channels === 3) return { width: info.width, height: info.height, rgb: data };
  const rgb = new Uint8Array(size.width * size.height * 3);
  for (let at = 0; at < rgb.length; at += 1) rgb[at] = data[Math.floor(at / 3) * info.channels] ?? 0;
  return { width: info.width, height: info.height, rgb };
}

function blend(
  below: Uint8Array,
  above: Uint8Array,
  factor: number,
  mix: (below: number, above: number) => number,
): Uint8Array {
  const mixed = new Uint8Array(below.length);
  for (let at = 0; at < below.length; at += 1) {
    const [from, over] = [(below[at] ?? 0) / 255, (above[at] ?? 0) / 255];
    const value = from * (1 - factor) + mix(from, over) * factor;
    mixed[at] = Math.round(Math.max(0, Math.min(1, value)) * 255);
  }
  return mixed;
}
