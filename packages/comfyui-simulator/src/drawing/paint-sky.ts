import { swing, tint, type SceneFrame } from "./scene-frame.ts";
import { Random } from "./random.ts";

/** Gradient, stars, sun or moon with its glow, and clouds that drift. */
export function paintSky(frame: SceneFrame): void {
  const { context, width, height, plan, unit } = frame;
  const random = new Random(`sky ${frame.seed}`);
  const bottom = plan.ground === "space" ? height : frame.horizon * 1.04;
  const gradient = context.createLinearGradient(0, 0, 0, bottom);
  plan.palette.sky.forEach((color, index) => {
    gradient.addColorStop([0, 0.55, 1][index] ?? 1, tint(frame, color));
  });
  context.fillStyle = gradient;
  context.fillRect(0, 0, width, height);
  if (plan.light === "night" || plan.ground === "space") paintStars(frame, random);
  const light = {
    x: width * random.between(0.18, 0.82),
    y:
      frame.horizon *
      (plan.light === "sunset" || plan.light === "dawn"
        ? random.between(0.6, 0.86)
        : random.between(0.18, 0.42)),
    radius: unit * (plan.light === "night" ? random.between(6, 10) : random.between(5, 9)),
  };
  paintLight(frame, light);
  if (plan.ground !== "space") paintClouds(frame, random);
}

function paintStars(frame: SceneFrame, random: Random): void {
  const { context, width, unit } = frame;
  const count = 170;
  for (let index = 0; index < count; index += 1) {
    const [x, y] = [random.next() * width, random.next() ** 1.4 * frame.horizon];
    const size = unit * random.between(0.08, 0.32);
    const twinkle = 0.65 + 0.35 * swing(frame, random.next(), random.whole(1, 3));
    context.fillStyle = tint(frame, "#f4f6ff", random.between(0.35, 1) * twinkle);
    context.beginPath();
    context.arc(x, y, size, 0, Math.PI * 2);
    context.fill();
  }
  context.save();
  context.translate(width * 0.5, frame.horizon * 0.45);
  context.rotate(-0.5 + random.between(-0.2, 0.2));
  const band = context.createLinearGradient(0, -unit * 16, 0, unit * 16);
  band.addColorStop(0, "rgba(200,190,255,0)");
  band.addColorStop(0.5, "rgba(214,200,255,0.17)");
  band.addColorStop(1, "rgba(200,190,255,0)");
  context.fillStyle = band;
  context.fillRect(-width, -unit * 16, width * 2, unit * 32);
  context.restore();
}

function paintLight(frame: SceneFrame, light: { x: number; y: number; radius: number }): void {
  const { context, plan, width, height } = frame;
  const { x, y, radius } = light;
  const glow = context.createRadialGradient(x, y, radius * 0.4, x, y, radius * 7.5);
  glow.addColorStop(0, tint(frame, plan.palette.glow, 0.85));
  glow.addColorStop(0.18, tint(frame, plan.palette.glow, 0.4));
  glow.addColorStop(1, tint(frame, plan.palette.glow, 0));
  context.fillStyle = glow;
  context.fillRect(0, 0, width, height);
  context.fillStyle = tint(frame, plan.palette.glow);
  context.beginPath();
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.fill();
  if (plan.light !== "night") return;
  context.fillStyle = tint(frame, plan.palette.sky[1], 0.16);
  for (const [dx, dy, size] of [
    [-0.3, -0.2, 0.26],
    [0.32, 0.18, 0.34],
    [-0.05, 0.45, 0.18],
    [0.18, -0.45, 0.14],
  ] as const) {
    context.beginPath();
    context.arc(x + dx * radius, y + dy * radius, size * radius, 0, Math.PI * 2);
    context.fill();
  }
}

/** Towering summer clouds: heaps of circles on a flat base, lit from above. */
function paintClouds(frame: SceneFrame, random: Random): void {
  const { width, unit } = frame;
  const count = random.whole(3, 5);
  for (let index = 0; index < count; index += 1) {
    const depth = index / count;
    const span = unit * random.between(26, 52) * (0.5 + depth * 0.6);
    const travel = width + span * 2;
    const start = random.next() * travel;
    const x = ((start + frame.time * travel * 0.04 * (1 + depth)) % travel) - span;
    paintCloud(frame, random, {
      x,
      y: frame.horizon * random.between(0.3, 0.92),
      span,
      opacity: 0.5 + depth * 0.4,
    });
  }
}

function paintCloud(
  frame: SceneFrame,
  random: Random,
  cloud: { x: number; y: number; span: number; opacity: number },
): void {
  const { context, plan } = frame;
  const { x, y, span, opacity } = cloud;
  const puffs = Array.from({ length: 13 }, () => {
    const along = random.between(-0.5, 0.5);
    const rise = (0.25 - along * along) * random.between(0.55, 1.25);
    return {
      x: x + along * span,
      y: y - rise * span,
      radius: span * random.between(0.07, 0.16) * (1.25 - Math.abs(along)),
    };
  });
  for (const [color, lift, size] of [
    [plan.palette.cloudShade, 0.0, 1.0],
    [plan.palette.cloud, 0.035, 0.93],
  ] as const) {
    context.save();
    context.beginPath();
    context.rect(x - span, 0, span * 2, y + span * 0.015);
    context.clip();
    context.fillStyle = tint(frame, color, opacity);
    context.beginPath();
    for (const puff of puffs) {
      context.moveTo(puff.x + puff.radius, puff.y);
      context.arc(puff.x, puff.y - lift * span, puff.radius * size, 0, Math.PI * 2);
    }
    context.fill();
    context.restore();
  }
}
