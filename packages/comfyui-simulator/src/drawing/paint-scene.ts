import { createCanvas } from "@napi-rs/canvas";
import { paintCaption } from "./paint-caption.ts";
import { paintDrift } from "./paint-drift.ts";
import { paintFigure } from "./paint-figure.ts";
import { paintGround } from "./paint-ground.ts";
import { paintSky } from "./paint-sky.ts";
import { type SceneFrame } from "./scene-frame.ts";
import { type ScenePicture } from "./picture.ts";
import { type Pixels } from "./png.ts";
import { planScene } from "./scene-plan.ts";

/** Draws one frame of a scene, back to front. The same recipe always gives the same pixels. */
export function paintScene(picture: ScenePicture): Pixels {
  const { width, height, scene, time } = picture;
  const canvas = createCanvas(width, height);
  const plan = planScene(scene);
  const frame: SceneFrame = {
    context: canvas.getContext("2d"),
    width,
    height,
    unit: Math.min(width, height) / 100,
    horizon: height * 0.66,
    time,
    plan,
    seed: `${scene.seed} ${scene.prompt}`,
  };
  paintSky(frame);
  paintGround(frame);
  paintFigure(frame);
  paintDrift(frame);
  paintCaption(frame, scene);
  return { width, height, rgb: withoutAlpha(canvas.data(), width * height) };
}

function withoutAlpha(rgba: Buffer, count: number): Uint8Array {
  const rgb = new Uint8Array(count * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = rgba[from] ?? 0;
    rgb[to + 1] = rgba[from + 1] ?? 0;
    rgb[to + 2] = rgba[from + 2] ?? 0;
  }
  return rgb;
}
