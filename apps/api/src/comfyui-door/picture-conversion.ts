import { Readable } from "node:stream";
import { StorageError, type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Sharp } from "sharp";
import { RefusedError } from "../http/problem-document.ts";
import { DrawingTurns } from "../thumbnails/drawing-turns.ts";

/** What `/view` makes of a picture: `preview=webp;90`, or `channel=rgb`. */
export type Conversion =
  | { kind: "preview"; format: "webp" | "jpeg"; quality: number; hasAlpha: boolean }
  | { kind: "channel"; channel: "rgb" | "a" };

/** Of pictures that are decoded. */
const pixelsMax = 64 * 1024 * 1024;
const sourceBytesMax = 128 * 1024 * 1024;
/** Pictures that one process converts at once. Further ones wait: clients take a refusal for the loss of their picture. */
const atOnce = 4;
const waitingMax = { ofTenant: 1_000, inAll: 4_000 };
const defaultQuality = 90;

/** `undefined` = the file as it is. Formats that are not known are read as WebP, as a server does. */
export function readConversion(
  preview: string | undefined,
  channel: string | undefined,
): Conversion | undefined {
  if (preview !== undefined) {
    const [name = "", quality = ""] = preview.split(";");
    // With transparency, a server takes WebP for all; and JPEG only if it is called so.
    const isJpeg = name === "jpeg" && channel?.includes("a") !== true;
    const asked = /^\d{1,3}$/.test(quality) ? Number(quality) : defaultQuality;
    return {
      kind: "preview",
      format: isJpeg ? "jpeg" : "webp",
      quality: Math.min(Math.max(asked, 1), 100),
      hasAlpha: !isJpeg && channel !== "rgb",
    };
  }
  return channel === "rgb" || channel === "a" ? { kind: "channel", channel } : undefined;
}

/** Who asks for a conversion. */
export interface ConversionFor {
  tenantId: string;
  /** How long the conversion may wait for its turn. */
  waitMs: number;
  /** Aborted when the client has left. */
  left: AbortSignal;
}

/** Converts pictures, a few at once; tenants take turns. */
export class PictureConversions {
  readonly #storage: Pick<OutputStorage, "read">;
  readonly #turns = new DrawingTurns({ atOnce, waitingMax });

  constructor(storage: Pick<OutputStorage, "read">) {
    this.#storage = storage;
  }

  /** @throws RefusedError for what is no picture, and after a wait that was too long */
  async convert(
    output: JobOutput,
    conversion: Conversion,
    asked: ConversionFor,
  ): Promise<{ mediaType: string; bytes: Buffer }> {
    return await this.#inTurn(asked, async () => {
      const picture = await this.#decoderOf(output);
      if (conversion.kind === "channel")
        return {
          mediaType: "image/png",
          bytes: await (conversion.channel === "rgb"
            ? picture.removeAlpha().png().toBuffer()
            : onlyAlpha(picture)),
        };
      const { format, quality, hasAlpha } = conversion;
      const bytes = await (hasAlpha ? picture : picture.removeAlpha())
        .toFormat(format, { quality })
        .toBuffer();
      return { mediaType: `image/${format}`, bytes: format === "jpeg" ? withJfif(bytes) : bytes };
    });
  }

  /** The picture with the alpha channel of the mask, as PNG. @throws RefusedError */
  async withAlphaOf(picture: JobOutput, mask: JobOutput, asked: ConversionFor): Promise<Readable> {
    return await this.#inTurn(asked, async () => {
      const [base, alpha] = [await this.#decoderOf(picture), await this.#decoderOf(mask)];
      const { data, info } = await base.removeAlpha().png().toBuffer({ resolveWithObject: true });
      const resized = alpha.resize(info.width, info.height, { fit: "fill" });
      const ofMask = await alphaOf(resized).raw().toBuffer();
      const { default: sharp } = await import("sharp");
      const raw = { width: info.width, height: info.height, channels: 1 as const };
      return Readable.from([await sharp(data).joinChannel(ofMask, { raw }).png().toBuffer()]);
    });
  }

  async #decoderOf({ storageKey, mediaType, bytes }: JobOutput): Promise<Sharp> {
    const isPicture = mediaType.startsWith("image/") && !mediaType.includes("svg");
    if (storageKey === null || !isPicture || bytes > sourceBytesMax) throw noPicture();
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.#storage.read(storageKey)) chunks.push(chunk as Uint8Array);
    // Imported with the first picture, because a tenth of a second goes into loading it.
    const { default: sharp } = await import("sharp");
    return sharp(Buffer.concat(chunks), { limitInputPixels: pixelsMax, failOn: "error" });
  }

  async #inTurn<Result>(
    { tenantId, waitMs, left }: ConversionFor,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const signal = AbortSignal.any([left, AbortSignal.timeout(waitMs)]);
    const entry = { hasBegun: false };
    try {
      return await this.#turns.take(tenantId, signal, () => {
        entry.hasBegun = true;
        return work();
      });
    } catch (error) {
      if (error instanceof RefusedError || error instanceof StorageError) throw error;
      if (entry.hasBegun) throw noPicture(error);
      const headers = { "retry-after": "1" };
      throw new RefusedError("too-many-thumbnails", "Too many pictures are being converted.", { headers });
    }
  }
}

function alphaOf(picture: Sharp): Sharp {
  return picture.ensureAlpha().extractChannel("alpha");
}

/** A black picture with the transparency of this one, as PNG. */
async function onlyAlpha(picture: Sharp): Promise<Buffer> {
  const { data, info } = await alphaOf(picture).raw().toBuffer({ resolveWithObject: true });
  const { default: sharp } = await import("sharp");
  const { width, height } = info;
  const black = sharp({ create: { width, height, channels: 3, background: "black" } });
  return await black
    .joinChannel(data, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

const startOfImage = Buffer.from("ffd8", "hex");
const jfif = Buffer.from("ffe000104a46494600010100000100010000", "hex");

/** A JPEG with the marker that servers' JPEGs begin with, by which some programs tell the kind. */
function withJfif(bytes: Buffer): Buffer {
  return bytes.subarray(2, 4).toString("hex") === "ffe0"
    ? bytes
    : Buffer.concat([startOfImage, jfif, bytes.subarray(2)]);
}

function noPicture(cause?: unknown): RefusedError {
  return new RefusedError("bad-request", "The file is no picture that can be converted.", { cause });
}
