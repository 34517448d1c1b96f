import { swing, tint, type SceneFrame } from "./scene-frame.ts";
import { paintCity } from "./paint-city.ts";
import { Random } from "./random.ts";

/** Draws everything between the sky and the viewer, from the haze at the horizon to the grass in front. */
export function paintGround(frame: SceneFrame): void {
  const random = new Random(`ground ${frame.seed}`);
  switch (frame.plan.ground) {
    case "space":
      paintPlanet(frame, random);
      return;
    case "ocean":
      paintRidge(frame, random, {
        base: 0.985,
        rise: 0.05,
        sharpness: 0.5,
        color: frame.plan.palette.land[0],
      });
      paintOcean(frame, random);
      paintBeach(frame, random);
      return;
    case "city":
      paintCity(frame, random);
      return;
    case "mountains":
      paintRidge(frame, random, { base: 0.95, rise: 0.42, sharpness: 1, color: frame.plan.palette.land[0] });
      paintRidge(frame, random, {
        base: 1.06,
        rise: 0.24,
        sharpness: 0.8,
        color: frame.plan.palette.land[1],
      });
      paintMeadow(frame, random);
      return;
    case "forest":
      paintRidge(frame, random, {
        base: 0.98,
        rise: 0.16,
        sharpness: 0.4,
        color: frame.plan.palette.land[0],
      });
      paintTrees(frame, random, { base: 1.06, size: 13, color: frame.plan.palette.land[1] });
      paintTrees(frame, random, { base: 1.24, size: 24, color: frame.plan.palette.land[2] });
      paintMeadow(frame, random);
      return;
    case "hills":
      paintRidge(frame, random, {
        base: 0.97,
        rise: 0.14,
        sharpness: 0.35,
        color: frame.plan.palette.land[0],
      });
      paintRidge(frame, random, {
        base: 1.08,
        rise: 0.12,
        sharpness: 0.25,
        color: frame.plan.palette.land[1],
      });
      paintMeadow(frame, random);
      return;
  }
}

/** A line of hills as a sum of waves; with sharpness it breaks into peaks. */
function paintRidge(
  frame: SceneFrame,
  random: Random,
  ridge: { base: number; rise: number; sharpness: number; color: string },
): void {
  const { context, width, height, horizon } = frame;
  const waves = [1, 2.3, 4.7, 9.1, 17].map((frequency) => ({ frequency, phase: random.next() * 7 }));
  const heightAt = (x: number): number => {
    let sum = 0;
    waves.forEach(({ frequency, phase }, index) => {
      const wave = Math.sin((x / width) * frequency * 3.1 + phase);
      const peak = 1 - 2 * Math.abs(wave);
      sum += (wave * (1 - ridge.sharpness) + peak * ridge.sharpness) / 1.9 ** index;
    });
    return horizon * ridge.base - (0.5 + sum * 0.3) * ridge.rise * horizon;
  };
  const gradient = context.createLinearGradient(
    0,
    horizon * (ridge.base - ridge.rise),
    0,
    horizon * (ridge.base + 0.3),
  );
  gradient.addColorStop(0, tint(frame, ridge.color));
  gradient.addColorStop(1, tint(frame, ridge.color, ridge.base < 1 ? 0.55 : 1));
  context.fillStyle = gradient;
  context.beginPath();
  context.moveTo(0, height);
  for (let x = 0; x <= width + 4; x += Math.max(2, width / 160)) context.lineTo(x, heightAt(x));
  context.lineTo(width + 4, height);
  context.fill();
}

/** The near slope: dark grass, blades bending with the wind, and a few flowers. */
function paintMeadow(frame: SceneFrame, random: Random): void {
  const { context, width, height, unit, plan } = frame;
  const top = height * 0.8;
  const gradient = context.createLinearGradient(0, top, 0, height);
  const isSnow = plan.drift === "snow";
  gradient.addColorStop(0, tint(frame, isSnow ? "#f3f7ff" : plan.palette.land[2]));
  gradient.addColorStop(1, tint(frame, isSnow ? plan.palette.land[0] : plan.palette.ink));
  const edge = (x: number): number => top + Math.sin((x / width) * 2.6 + 0.4) * unit * 4;
  context.fillStyle = gradient;
  context.beginPath();
  context.moveTo(0, height);
  for (let x = 0; x <= width; x += width / 40) context.lineTo(x, edge(x));
  context.lineTo(width, edge(width));
  context.lineTo(width, height);
  context.fill();
  context.lineWidth = unit * 0.32;
  for (let index = 0; index < (isSnow ? 26 : 210); index += 1) {
    const x = random.next() * width;
    const y = edge(x) + random.next() ** 2 * (height - top);
    const size = unit * random.between(1.4, 4.2);
    const bend = unit * (random.between(-0.6, 1.4) + swing(frame, x / width) * 0.8);
    context.strokeStyle = tint(frame, random.chance(0.5) ? plan.palette.land[2] : plan.palette.land[1], 0.55);
    context.beginPath();
    context.moveTo(x, y + unit * 0.4);
    context.quadraticCurveTo(x, y - size * 0.5, x + bend, y - size);
    context.stroke();
    if (index % 7 !== 0) continue;
    context.fillStyle = tint(frame, random.pick(["#fff4fa", "#ffd4e4", "#ffe6a0"]), 0.9);
    context.beginPath();
    context.arc(x + bend, y - size, unit * 0.38, 0, Math.PI * 2);
    context.fill();
  }
}

function paintTrees(
  frame: SceneFrame,
  random: Random,
  trees: { base: number; size: number; color: string },
): void {
  const { context, width, height, horizon, unit } = frame;
  const foot = horizon * trees.base;
  context.fillStyle = tint(frame, trees.color);
  context.fillRect(0, foot - unit, width, height);
  for (let x = -unit * 4; x < width + unit * 4; x += unit * random.between(2.4, 5.5) * (trees.size / 14)) {
    const size = unit * trees.size * random.between(0.6, 1.25);
    context.beginPath();
    for (const [level, spread] of [
      [1, 0.1],
      [0.72, 0.2],
      [0.42, 0.27],
      [0.1, 0.33],
    ] as const) {
      context.moveTo(x, foot - size * level - size * 0.06);
      context.lineTo(x - size * spread, foot - size * (level - 0.34));
      context.lineTo(x + size * spread, foot - size * (level - 0.34));
    }
    context.fill();
  }
}

/** Wet sand in front of the water, with a line of foam that comes and goes. */
function paintBeach(frame: SceneFrame, random: Random): void {
  const { context, width, height, unit, plan } = frame;
  const phase = random.next() * 6;
  const edge = (x: number): number =>
    height * 0.87 + Math.sin((x / width) * 5 + phase) * unit * 1.6 + swing(frame, phase) * unit * 0.8;
  const outline = (lift: number): void => {
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += width / 60) context.lineTo(x, edge(x) - lift);
    context.lineTo(width, edge(width) - lift);
    context.lineTo(width, height);
    context.fill();
  };
  context.fillStyle = tint(frame, plan.palette.cloud, 0.75);
  outline(unit * 0.9);
  const sand = context.createLinearGradient(0, height * 0.85, 0, height);
  sand.addColorStop(0, tint(frame, plan.light === "night" ? "#4a4a78" : "#d9b592"));
  sand.addColorStop(1, tint(frame, plan.light === "night" ? "#1d1d3a" : "#a87b62"));
  context.fillStyle = sand;
  outline(0);
}

/** Bands of water, lighter towards the light, with glitter that comes and goes. */
function paintOcean(frame: SceneFrame, random: Random): void {
  const { context, width, height, horizon, unit, plan } = frame;
  const gradient = context.createLinearGradient(0, horizon, 0, height);
  gradient.addColorStop(0, tint(frame, plan.palette.sky[2]));
  gradient.addColorStop(0.14, tint(frame, plan.palette.sky[1]));
  gradient.addColorStop(1, tint(frame, plan.palette.sky[0]));
  context.fillStyle = gradient;
  context.fillRect(0, horizon, width, height - horizon);
  for (let index = 0; index < 260; index += 1) {
    const depth = random.next() ** 1.6;
    const y = horizon + depth * (height - horizon);
    const span = unit * (0.8 + depth * 9) * random.between(0.5, 1.3);
    const x =
      random.next() * (width + span) - span / 2 + swing(frame, random.next()) * unit * (0.6 + depth * 2);
    const shine = 0.5 + 0.5 * swing(frame, random.next(), random.whole(1, 2));
    const color = random.chance(0.55) ? plan.palette.glow : plan.palette.cloudShade;
    context.fillStyle = tint(frame, color, (0.12 + 0.4 * shine) * (1 - depth * 0.5));
    context.beginPath();
    context.ellipse(x, y, span, unit * (0.1 + depth * 0.42), 0, 0, Math.PI * 2);
    context.fill();
  }
}

function paintPlanet(frame: SceneFrame, random: Random): void {
  const { context, width, height, plan, unit } = frame;
  const x = width * random.between(0.2, 0.8);
  const radius = Math.max(width, height) * 0.75;
  const y = height * 0.74 + radius;
  const gradient = context.createRadialGradient(x, y, radius * 0.82, x, y, radius * 1.06);
  gradient.addColorStop(0, tint(frame, plan.palette.ink));
  gradient.addColorStop(0.7, tint(frame, plan.palette.land[1]));
  gradient.addColorStop(0.76, tint(frame, plan.palette.glow));
  gradient.addColorStop(0.8, tint(frame, plan.palette.sky[2], 0.5));
  gradient.addColorStop(1, tint(frame, plan.palette.sky[2], 0));
  context.fillStyle = gradient;
  context.fillRect(0, 0, width, height);
  const moon = {
    x: width * random.between(0.15, 0.85),
    y: height * random.between(0.12, 0.35),
    radius: unit * 4,
  };
  context.fillStyle = tint(frame, plan.palette.cloud, 0.9);
  context.beginPath();
  context.arc(moon.x, moon.y, moon.radius, 0, Math.PI * 2);
  context.fill();
}
