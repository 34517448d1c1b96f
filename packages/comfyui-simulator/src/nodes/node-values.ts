import { type Picture } from "../drawing/picture.ts";
import { type PythonValue } from "../python/python-values.ts";

/** A value that a link carries. Each kind holds only the facts that later nodes need. */
export type NodeValue =
  | { readonly kind: "plain"; readonly value: PythonValue }
  | ModelValue
  | { readonly kind: "clip"; readonly checkpoint: string }
  | { readonly kind: "vae"; readonly checkpoint: string }
  | { readonly kind: "conditioning"; readonly text: string }
  | LatentValue
  | ImageValue
  | VideoValue
  | AudioValue
  | MaskValue
  /** The items of an output that is a list, or of an input of a node that takes whole lists. */
  | ListValue
  /** A node with this input does not run, and passes the value on. A message in it is reported once. */
  | { readonly kind: "blocked"; readonly message: string | undefined }
  /** A value that nodes only pass on. `text` is the server's printed form of it. */
  | { readonly kind: "opaque"; readonly type: string; readonly text: string };

export interface AudioValue {
  readonly kind: "audio";
  readonly samples: number;
  readonly sampleRate: number;
  readonly channels: number;
}

/** A mask. Only its size is known, because masks do not change the simulated pictures. */
interface MaskValue {
  readonly kind: "mask";
  readonly width: number;
  readonly height: number;
  readonly count: number;
}

interface ListValue {
  readonly kind: "list";
  readonly items: readonly NodeValue[];
}

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
