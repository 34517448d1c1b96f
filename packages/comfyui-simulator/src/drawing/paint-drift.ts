import { swing, tint, type Easel } from "./scene-frame.ts";
import { Random } from "./random.ts";

/** What floats through the picture; it moves in whole rounds per loop, so that a video can repeat without a jump. */
export function paintDrift(easel: Easel): void {
  const random = new Random(`drift ${easel.seed}`);
  const count = { petals: 46, snow: 110, rain: 130, fireflies: 34, leaves: 26, bubbles: 30, dust: 26 }[
    easel.plan.drift
  ];
  for (let index = 0; index < count; index += 1) {
    paintOne(easel, random, {
      x: random.next(),
      y: random.next(),
      depth: random.next(),
      phase: random.next(),
      rounds: random.whole(1, 2),
    });
  }
}

interface Mote {
  readonly x: number;
  readonly y: number;
  readonly depth: number;
  readonly phase: number;
  readonly rounds: number;
}

function paintOne(easel: Easel, random: Random, mote: Mote): void {
  switch (easel.plan.drift) {
    case "petals":
      paintLeaf(easel, mote, random.pick(["#ffd3e2", "#ffb7d0", "#fff0f6"]));
      return;
    case "leaves":
      paintLeaf(easel, mote, random.pick(["#ff9d4d", "#e8553a", "#ffcf5c"]));
      return;
    case "rain":
      paintDrop(easel, mote);
      return;
    case "fireflies":
      paintFirefly(easel, mote);
      return;
    case "bubbles":
      paintBubble(easel, mote);
      return;
    case "snow":
      paintDot(easel, mote, { color: "#ffffff", size: 0.5 });
      return;
    case "dust":
      paintDot(easel, mote, { color: easel.plan.palette.glow, size: 0.28 });
      return;
  }
}

function paintLeaf(easel: Easel, mote: Mote, color: string): void {
  const { context, width, height, time } = easel;
  const size = sizeOf(easel, mote);
  const sway = swing(easel, mote.phase, mote.rounds);
  const x = wrap(mote.x + time * mote.rounds + sway * 0.02);
  const y = wrap(mote.y + time * mote.rounds);
  context.save();
  context.translate((x * 1.1 - 0.05) * width, (y * 1.1 - 0.05) * height);
  context.rotate(mote.phase * 6.3 + time * Math.PI * 2 * mote.rounds);
  context.scale(1, 0.45 + 0.35 * sway);
  context.fillStyle = tint(easel, color, 0.6 + mote.depth * 0.4);
  context.beginPath();
  context.moveTo(-size, 0);
  context.quadraticCurveTo(0, -size, size, 0);
  context.quadraticCurveTo(0, size, -size, 0);
  context.fill();
  context.restore();
}

function paintDrop(easel: Easel, mote: Mote): void {
  const { context, width, height, unit, time } = easel;
  const [x, y] = [mote.x * width, wrap(mote.y + time * 3) * height];
  context.strokeStyle = tint(easel, "#dfeaff", 0.16 + mote.depth * 0.3);
  context.lineWidth = unit * 0.18;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x - unit * 1.2, y + unit * (4 + mote.depth * 5));
  context.stroke();
}

function paintFirefly(easel: Easel, mote: Mote): void {
  const { context, width, height } = easel;
  const size = sizeOf(easel, mote);
  const sway = swing(easel, mote.phase, mote.rounds);
  const x = (mote.x + sway * 0.02) * width;
  const y = (0.35 + mote.y * 0.6 + swing(easel, mote.x) * 0.015) * height;
  const pulse = 0.45 + 0.55 * sway ** 2;
  const glow = context.createRadialGradient(x, y, 0, x, y, size * 2.6);
  glow.addColorStop(0, tint(easel, "#fffbd0", pulse));
  glow.addColorStop(0.3, tint(easel, "#ffe37a", pulse * 0.5));
  glow.addColorStop(1, tint(easel, "#ffe37a", 0));
  context.fillStyle = glow;
  context.fillRect(x - size * 3, y - size * 3, size * 6, size * 6);
}

function paintBubble(easel: Easel, mote: Mote): void {
  const { context, width, height, unit, time } = easel;
  const sway = swing(easel, mote.phase, mote.rounds);
  context.strokeStyle = tint(easel, "#ffffff", 0.25 + mote.depth * 0.4);
  context.lineWidth = unit * 0.16;
  context.beginPath();
  const y = 1 - wrap(mote.y + time * mote.rounds);
  context.arc((mote.x + sway * 0.01) * width, y * height, sizeOf(easel, mote) * 0.8, 0, Math.PI * 2);
  context.stroke();
}

function paintDot(easel: Easel, mote: Mote, dot: { color: string; size: number }): void {
  const { context, width, height, time } = easel;
  const sway = swing(easel, mote.phase, mote.rounds);
  context.fillStyle = tint(easel, dot.color, 0.35 + mote.depth * 0.5);
  context.beginPath();
  const [x, y] = [wrap(mote.x + sway * 0.015), wrap(mote.y + time * mote.rounds)];
  context.arc(x * width, y * height, sizeOf(easel, mote) * dot.size, 0, Math.PI * 2);
  context.fill();
}

function sizeOf(easel: Easel, mote: Mote): number {
  return easel.unit * (0.5 + mote.depth * 1.6);
}

function wrap(value: number): number {
  return value - Math.floor(value);
}
