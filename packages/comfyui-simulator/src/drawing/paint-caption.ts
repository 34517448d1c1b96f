import { createRequire } from "node:module";
import path from "node:path";
import { GlobalFonts } from "@napi-rs/canvas";
import { type SceneFrame } from "./scene-frame.ts";
import { type Scene } from "./picture.ts";

const fontFamily = "Genga Caption";
let isRegistered = false;

/** No caption is drawn on pictures below this height in pixels, because it could not be read. */
const heightMin = 192;

/** Draws the request in small letters at the bottom: prompt, then seed and checkpoint. */
export function paintCaption(frame: SceneFrame, scene: Scene): void {
  const { context, width, height, unit } = frame;
  if (height < heightMin) return;
  registerFont();
  const size = Math.max(9, Math.min(20, unit * 2.3));
  const pad = size * 0.7;
  const strip = size * 3.5;
  const gradient = context.createLinearGradient(0, height - strip * 1.5, 0, height);
  gradient.addColorStop(0, "rgba(4, 6, 18, 0)");
  gradient.addColorStop(0.45, "rgba(4, 6, 18, 0.55)");
  gradient.addColorStop(1, "rgba(4, 6, 18, 0.72)");
  context.fillStyle = gradient;
  context.fillRect(0, height - strip * 1.5, width, strip * 1.5);
  context.textBaseline = "alphabetic";
  context.fillStyle = "rgba(255, 255, 255, 0.94)";
  context.font = `${size}px "${fontFamily}"`;
  context.fillText(
    fitted(frame, scene.prompt.replace(/\s+/g, " ").trim(), width - pad * 2),
    pad,
    height - pad - size * 1.35,
  );
  context.fillStyle = "rgba(255, 255, 255, 0.66)";
  context.font = `${size * 0.82}px "${fontFamily}"`;
  const about = [`seed ${scene.seed}`, scene.checkpoint, ...scene.loras].join(" · ");
  context.fillText(fitted(frame, about, width - pad * 2), pad, height - pad);
}

function fitted(frame: SceneFrame, text: string, widthMax: number): string {
  const { context } = frame;
  if (context.measureText(text).width <= widthMax) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= widthMax) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

/** A fresh machine may have no fonts at all, so the simulator registers its own. */
function registerFont(): void {
  if (isRegistered) return;
  const folder = path.dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json"));
  GlobalFonts.registerFromPath(path.join(folder, "ttf", "DejaVuSans.ttf"), fontFamily);
  isRegistered = true;
}
