import { type Picture } from "./picture.ts";

/** One piece of work for the drawing thread: plain data. */
export type DrawingJob =
  | {
      readonly kind: "png";
      readonly picture: Picture;
      readonly file: string;
      readonly texts: ReadonlyMap<string, string>;
      readonly level: number;
    }
  | {
      readonly kind: "animated-png";
      readonly pictures: readonly Picture[];
      readonly file: string;
      readonly framesPerSecond: number;
      readonly texts: ReadonlyMap<string, string>;
      readonly level: number;
    }
  | {
      readonly kind: "animated-webp";
      readonly pictures: readonly Picture[];
      readonly file: string;
      readonly framesPerSecond: number;
      readonly isLossless: boolean;
      readonly quality: number;
    }
  | {
      readonly kind: "gif";
      readonly pictures: readonly Picture[];
      readonly file: string;
      readonly framesPerSecond: number;
      /** How often the animation plays; 0 repeats it for ever. */
      readonly loops: number;
    }
  | {
      readonly kind: "video";
      readonly pictures: readonly Picture[];
      readonly file: string;
      readonly framesPerSecond: number;
      /** Encoder and container options of ffmpeg. */
      readonly encoding: readonly string[];
      /** Sizes are rounded up to a multiple of this, with black at the edge. */
      readonly alignment: number;
    }
  | { readonly kind: "exr"; readonly picture: Picture; readonly file: string }
  | {
      /** The format follows from the file's name. */
      readonly kind: "silence";
      readonly file: string;
      readonly samples: number;
      readonly sampleRate: number;
      readonly channels: number;
    }
  | {
      readonly kind: "preview";
      readonly picture: Picture;
      readonly format: "jpeg" | "png";
      readonly noise: number;
      readonly sizeMax: number | undefined;
    }
  | { readonly kind: "corners"; readonly picture: Picture };

/** A picture to show while a node works. It is drawn only if a client will receive it. */
export interface PreviewPicture {
  readonly picture: Picture;
  readonly format: "jpeg" | "png";
  /** 1 = nothing but noise, 0 = the finished picture. */
  readonly noise: number;
  /** Longest side; small pictures are scaled up to it. Undefined: as it is. */
  readonly sizeMax?: number;
}

export interface DrawingRequest {
  readonly id: number;
  readonly job: DrawingJob;
}

/** Frames are announced as they are written; then either the bytes asked for (empty for files) or an error. */
export type DrawingReply =
  | { readonly id: number; readonly kind: "frame" }
  | { readonly id: number; readonly kind: "done"; readonly bytes: Uint8Array }
  | { readonly id: number; readonly kind: "failed"; readonly message: string };
