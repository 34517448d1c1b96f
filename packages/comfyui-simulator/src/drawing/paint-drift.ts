import { swing, tint, type SceneFrame } from "./scene-frame.ts";
import { Random } from "./random.ts";

/**
 * Draws the things that float through the picture. They move in whole rounds per loop, so that a video can repeat
 * without a jump.
 */
export function paintDrift(frame: SceneFrame): void {
  const random = new Random(`drift ${frame.seed}`);
  const count = { petals: 46, snow: 110, rain: 130, fireflies: 34, leaves: 26, bubbles: 30, dust: 26 }[
    frame.plan.drift
  ];
  for (let index = 0; index < count; index += 1) {
    paintOne(frame, random, {
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

function paintOne(frame: SceneFrame, random: Random, mote: Mote): void {
  switch (frame.plan.drift) {
    case "petals":
      paintLeaf(frame, mote, random.pick(["#ffd3e2", "#ffb7d0", "#fff0f6"]));
      return;
    case "leaves":
      paintLeaf(frame, mote, random.pick(["#ff9d4d", "#e8553a", "#ffcf5c"]));
      return;
    case "rain":
      paintDrop(frame, mote);
      return;
    case "fireflies":
      paintFirefly(frame, mote);
      return;
    case "bubbles":
      paintBubble(frame, mote);
      return;
    case "snow":
      paintDot(frame, mote, { color: "#ffffff", size: 0.5 });
      return;
    case "dust":
      paintDot(frame, mote, { color: frame.plan.palette.glow, size: 0.28 });
      return;
  }
}

function paintLeaf(frame: SceneFrame, mote: Mote, color: string): void {
  const { context, width, height, time } = frame;
  const size = sizeOf(frame, mote);
  const sway = swing(frame, mote.phase, mote.rounds);
  const x = wrap(mote.x + time * mote.rounds + sway * 0.02);
  const y = wrap(mote.y + time * mote.rounds);
  context.save();
  context.translate((x * 1.1 - 0.05) * width, (y * 1.1 - 0.05) * height);
  context.rotate(mote.phase * 6.3 + time * Math.PI * 2 * mote.rounds);
  context.scale(1, 0.45 + 0.35 * sway);
  context.fillStyle = tint(frame, color, 0.6 + mote.depth * 0.4);
  context.beginPath();
  context.moveTo(-size, 0);
  context.quadraticCurveTo(0, -size, size, 0);
  context.quadraticCurveTo(0, size, -size, 0);
  context.fill();
  context.restore();
}

function paintDrop(frame: SceneFrame, mote: Mote): void {
  const { context, width, height, unit, time } = frame;
  const [x, y] = [mote.x * width, wrap(mote.y + time * 3) * height];
  context.strokeStyle = tint(frame, "#dfeaff", 0.16 + mote.depth * 0.3);
  context.lineWidth = unit * 0.18;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x - unit * 1.2, y + unit * (4 + mote.depth * 5));
  context.stroke();
}

function paintFirefly(frame: SceneFrame, mote: Mote): void {
  const { context, width, height } = frame;
  const size = sizeOf(frame, mote);
  const sway = swing(frame, mote.phase, mote.rounds);
  const x = (mote.x + sway * 0.02) * width;
  const y = (0.35 + mote.y * 0.6 + swing(frame, mote.x) * 0.015) * height;
  const pulse = 0.45 + 0.55 * sway ** 2;
  const glow = context.createRadialGradient(x, y, 0, x, y, size * 2.6);
  glow.addColorStop(0, tint(frame, "#fffbd0", pulse));
  glow.addColorStop(0.3, tint(frame, "#ffe37a", pulse * 0.5));
  glow.addColorStop(1, tint(frame, "#ffe37a", 0));
  context.fillStyle = glow;
  context.fillRect(x - size * 3, y - size * 3, size * 6, size * 6);
}

function paintBubble(frame: SceneFrame, mote: Mote): void {
  const { context, width, height, unit, time } = frame;
  const sway = swing(frame, mote.phase, mote.rounds);
  context.strokeStyle = tint(frame, "#ffffff", 0.25 + mote.depth * 0.4);
  context.lineWidth = unit * 0.16;
  context.beginPath();
  const y = 1 - wrap(mote.y + time * mote.rounds);
  context.arc((mote.x + sway * 0.01) * width, y * height, sizeOf(frame, mote) * 0.8, 0, Math.PI * 2);
  context.stroke();
}

function paintDot(frame: SceneFrame, mote: Mote, dot: { color: string; size: number }): void {
  const { context, width, height, time } = frame;
  const sway = swing(frame, mote.phase, mote.rounds);
  context.fillStyle = tint(frame, dot.color, 0.35 + mote.depth * 0.5);
  context.beginPath();
  const [x, y] = [wrap(mote.x + sway * 0.015), wrap(mote.y + time * mote.rounds)];
  context.arc(x * width, y * height, sizeOf(frame, mote) * dot.size, 0, Math.PI * 2);
  context.fill();
}

function sizeOf(frame: SceneFrame, mote: Mote): number {
  return frame.unit * (0.5 + mote.depth * 1.6);
}

function wrap(value: number): number {
  return value - Math.floor(value);
}
