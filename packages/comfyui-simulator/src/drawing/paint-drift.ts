import { swing, tint, type Easel } from "./easel.ts";
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
  const { context, width, height, unit, plan, time } = easel;
  const size = unit * (0.5 + mote.depth * 1.6);
  const fall = wrap(mote.y + time * mote.rounds);
  const sway = swing(easel, mote.phase, mote.rounds);
  switch (plan.drift) {
    case "petals":
    case "leaves": {
      const color =
        plan.drift === "petals"
          ? random.pick(["#ffd3e2", "#ffb7d0", "#fff0f6"])
          : random.pick(["#ff9d4d", "#e8553a", "#ffcf5c"]);
      context.save();
      context.translate(
        wrap(mote.x + time * mote.rounds * 1 + sway * 0.02) * width * 1.1 - width * 0.05,
        fall * height * 1.1 - height * 0.05,
      );
      context.rotate(mote.phase * 6.3 + time * Math.PI * 2 * mote.rounds);
      context.scale(1, 0.45 + 0.35 * sway);
      context.fillStyle = tint(easel, color, 0.6 + mote.depth * 0.4);
      context.beginPath();
      context.moveTo(-size, 0);
      context.quadraticCurveTo(0, -size, size, 0);
      context.quadraticCurveTo(0, size, -size, 0);
      context.fill();
      context.restore();
      return;
    }
    case "rain":
      context.strokeStyle = tint(easel, "#dfeaff", 0.16 + mote.depth * 0.3);
      context.lineWidth = unit * 0.18;
      context.beginPath();
      context.moveTo(mote.x * width, wrap(mote.y + time * 3) * height);
      context.lineTo(
        mote.x * width - unit * 1.2,
        wrap(mote.y + time * 3) * height + unit * (4 + mote.depth * 5),
      );
      context.stroke();
      return;
    case "fireflies": {
      const [x, y] = [
        (mote.x + sway * 0.02) * width,
        (0.35 + mote.y * 0.6 + swing(easel, mote.x) * 0.015) * height,
      ];
      const pulse = 0.45 + 0.55 * swing(easel, mote.phase, mote.rounds) ** 2;
      const glow = context.createRadialGradient(x, y, 0, x, y, size * 2.6);
      glow.addColorStop(0, tint(easel, "#fffbd0", pulse));
      glow.addColorStop(0.3, tint(easel, "#ffe37a", pulse * 0.5));
      glow.addColorStop(1, tint(easel, "#ffe37a", 0));
      context.fillStyle = glow;
      context.fillRect(x - size * 3, y - size * 3, size * 6, size * 6);
      return;
    }
    case "bubbles":
      context.strokeStyle = tint(easel, "#ffffff", 0.25 + mote.depth * 0.4);
      context.lineWidth = unit * 0.16;
      context.beginPath();
      context.arc((mote.x + sway * 0.01) * width, (1 - fall) * height, size * 0.8, 0, Math.PI * 2);
      context.stroke();
      return;
    case "snow":
    case "dust":
      context.fillStyle = tint(
        easel,
        plan.drift === "snow" ? "#ffffff" : plan.palette.glow,
        0.35 + mote.depth * 0.5,
      );
      context.beginPath();
      context.arc(
        wrap(mote.x + sway * 0.015) * width,
        fall * height,
        size * (plan.drift === "snow" ? 0.5 : 0.28),
        0,
        Math.PI * 2,
      );
      context.fill();
      return;
  }
}

function wrap(value: number): number {
  return value - Math.floor(value);
}
