import { type SKRSContext2D } from "@napi-rs/canvas";
import { type ScenePlan } from "./scene-plan.ts";

/** One frame of a scene while it is painted: the canvas, its measures, and what is to be painted. */
export interface SceneFrame {
  readonly context: SKRSContext2D;
  readonly width: number;
  readonly height: number;
  /** One hundredth of the shorter side. */
  readonly unit: number;
  /** Where the ground begins, from the top. */
  readonly horizon: number;
  /** 0 to just under 1; a moving scene ends where it began. */
  readonly time: number;
  readonly plan: ScenePlan;
  /** Seeds every painter's own random numbers. */
  readonly seed: string;
}

/** A colour with the checkpoint's turn of hue, and an opacity. */
export function tint(frame: SceneFrame, hex: string, alpha = 1): string {
  const { h, s, l } = toHsl(hex);
  return `hsla(${(h + frame.plan.hue + 360) % 360}, ${s}%, ${l}%, ${alpha})`;
}

function toHsl(hex: string): { h: number; s: number; l: number } {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255) as [
    number,
    number,
    number,
  ];
  const [max, min] = [Math.max(r, g, b), Math.min(r, g, b)];
  const spread = max - min;
  const l = (max + min) / 2;
  if (spread === 0) return { h: 0, s: 0, l: l * 100 };
  const s = spread / (1 - Math.abs(2 * l - 1));
  const sector = max === r ? ((g - b) / spread) % 6 : max === g ? (b - r) / spread + 2 : (r - g) / spread + 4;
  return { h: sector * 60, s: s * 100, l: l * 100 };
}

/** A number that goes around once per loop of the scene: -1 to 1. */
export function swing(frame: SceneFrame, phase = 0, rounds = 1): number {
  return Math.sin((frame.time * rounds + phase) * Math.PI * 2);
}
