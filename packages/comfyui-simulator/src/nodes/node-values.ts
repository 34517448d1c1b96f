import type { Picture } from "../drawing/picture.ts";
import type { PythonValue } from "../python/python-values.ts";

/** What travels along a link: each kind carries just what later nodes need to know. */
export type NodeValue =
  | { readonly kind: "plain"; readonly value: PythonValue }
  | ModelValue
  | { readonly kind: "clip"; readonly checkpoint: string }
  | { readonly kind: "vae"; readonly checkpoint: string }
  | { readonly kind: "conditioning"; readonly text: string }
  | LatentValue
  | ImageValue
  | VideoValue
  /** Anything that only has to be handed on. `text` is how the server would print it. */
  | { readonly kind: "opaque"; readonly type: string; readonly text: string };

export interface ModelValue {
  readonly kind: "model";
  readonly checkpoint: string;
  readonly loras: readonly string[];
  readonly motion: { readonly model: string; readonly hasContext: boolean } | undefined;
}

/** Latents of a batch; without pictures it is empty (noise to be). Sizes are in pixels. */
export interface LatentValue {
  readonly kind: "latent";
  readonly width: number;
  readonly height: number;
  readonly count: number;
  readonly pictures: readonly Picture[] | undefined;
}

export interface ImageValue {
  readonly kind: "image";
  readonly pictures: readonly Picture[];
}

export interface VideoValue {
  readonly kind: "video";
  readonly pictures: readonly Picture[];
  readonly framesPerSecond: number;
}

export function plain(value: PythonValue): NodeValue {
  return { kind: "plain", value };
}

export function opaque(type: string, text = `<${type} object at 0x7f1ae4828e90>`): NodeValue {
  return { kind: "opaque", type, text };
}
