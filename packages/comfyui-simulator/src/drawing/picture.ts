/**
 * A picture as a recipe for drawing it. It is plain data, so that another thread can draw it, and only if its pixels
 * are needed. Every recipe has its size.
 */
export type Picture =
  | FlatPicture
  | ScenePicture
  | { readonly op: "file"; readonly width: number; readonly height: number; readonly path: string }
  | {
      readonly op: "scale";
      readonly width: number;
      readonly height: number;
      readonly source: Picture;
      readonly method: string;
      readonly crop: boolean;
    }
  | {
      readonly op: "crop";
      readonly width: number;
      readonly height: number;
      readonly source: Picture;
      readonly left: number;
      readonly top: number;
    }
  | { readonly op: "invert"; readonly width: number; readonly height: number; readonly source: Picture }
  | {
      readonly op: "blur";
      readonly width: number;
      readonly height: number;
      readonly source: Picture;
      readonly sigma: number;
    }
  | {
      readonly op: "blend";
      readonly width: number;
      readonly height: number;
      readonly below: Picture;
      readonly above: Picture;
      readonly factor: number;
      readonly mode: BlendMode;
    };

export type BlendMode = "normal" | "multiply" | "screen" | "overlay" | "soft_light" | "difference";

export interface FlatPicture {
  readonly op: "flat";
  readonly width: number;
  readonly height: number;
  /** 0xRRGGBB */
  readonly color: number;
}

export interface ScenePicture {
  readonly op: "scene";
  readonly width: number;
  readonly height: number;
  readonly scene: Scene;
  /** Position of this frame in a moving scene, 0 to just under 1. */
  readonly time: number;
}

/** The inputs of a sampler that the drawing depends on. */
export interface Scene {
  readonly prompt: string;
  readonly negative: string;
  /** Decimal text, since seeds reach 2^64-1. */
  readonly seed: string;
  readonly checkpoint: string;
  readonly loras: readonly string[];
}
