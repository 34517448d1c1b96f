import { swing, tint, type SceneFrame } from "./scene-frame.ts";
import { type Random } from "./random.ts";

/** Three rows of houses, the nearer the darker, with windows that are lit at night; in front a rooftop rail. */
export function paintCity(frame: SceneFrame, random: Random): void {
  const { plan } = frame;
  paintRow(frame, random, { base: 1.02, size: 0.34, wide: 8, color: plan.palette.land[0], lit: 0.25 });
  paintRow(frame, random, { base: 1.12, size: 0.42, wide: 12, color: plan.palette.land[1], lit: 0.4 });
  paintRow(frame, random, { base: 1.32, size: 0.4, wide: 17, color: plan.palette.land[2], lit: 0.5 });
  paintRooftop(frame);
}

function paintRow(
  frame: SceneFrame,
  random: Random,
  row: { base: number; size: number; wide: number; color: string; lit: number },
): void {
  const { context, width, height, horizon, unit, plan } = frame;
  const foot = horizon * row.base;
  for (let x = -unit * 4; x < width;) {
    const house = {
      wide: unit * row.wide * random.between(0.55, 1.2),
      tall: horizon * row.size * random.between(0.3, 1),
    };
    const top = foot - house.tall;
    const gradient = context.createLinearGradient(0, top, 0, foot + unit * 12);
    gradient.addColorStop(0, tint(frame, row.color));
    gradient.addColorStop(1, tint(frame, plan.palette.land[0], row.base > 1.2 ? 1 : 0.8));
    context.fillStyle = gradient;
    context.fillRect(x, top, house.wide, height - top);
    if (random.chance(0.3)) context.fillRect(x + house.wide * 0.46, top - unit * 4, unit * 0.4, unit * 4);
    if (random.chance(0.3))
      context.fillRect(x + house.wide * 0.2, top - unit * 1.6, house.wide * 0.35, unit * 1.7);
    paintWindows(frame, random, { x, top, wide: house.wide, foot, lit: row.lit, size: row.wide / 12 });
    x += house.wide + unit * random.between(0.1, 1.2);
  }
}

function paintWindows(
  frame: SceneFrame,
  random: Random,
  wall: { x: number; top: number; wide: number; foot: number; lit: number; size: number },
): void {
  const { context, unit, plan } = frame;
  const isDark = plan.light === "night" || plan.light === "sunset";
  const pitch = unit * 2.1 * wall.size;
  for (let y = wall.top + pitch; y < wall.foot + unit * 14; y += pitch * 1.15) {
    for (let x = wall.x + pitch * 0.6; x < wall.x + wall.wide - pitch * 0.7; x += pitch) {
      const isLit = random.chance(isDark ? wall.lit : 0.3);
      const flicker = 0.8 + 0.2 * swing(frame, random.next());
      if (!isLit) continue;
      const color = isDark ? random.pick(["#ffd98a", "#ffe9bf", "#9fe3ff", "#ffb3d1"]) : plan.palette.cloud;
      context.fillStyle = tint(frame, color, (isDark ? 0.85 : 0.32) * flicker);
      context.fillRect(x, y, pitch * 0.5, pitch * 0.6);
    }
  }
}

function paintRooftop(frame: SceneFrame): void {
  const { context, width, height, unit, plan } = frame;
  const top = height * 0.86;
  context.fillStyle = tint(frame, plan.palette.ink);
  context.fillRect(0, top, width, height - top);
  context.fillStyle = tint(frame, plan.palette.land[1], 0.7);
  context.fillRect(0, top, width, unit * 0.7);
  context.strokeStyle = tint(frame, plan.palette.ink);
  context.lineWidth = unit * 0.6;
  context.beginPath();
  for (const level of [0.06, 0.1]) {
    context.moveTo(0, top - height * level);
    context.lineTo(width, top - height * level);
  }
  for (let x = unit * 3; x < width; x += unit * 9) {
    context.moveTo(x, top);
    context.lineTo(x, top - height * 0.1);
  }
  context.stroke();
}
