import { NoThumbnailError } from "./no-thumbnail.ts";
import { readPoster } from "./read-poster.ts";

export const thumbnailFormats = ["webp", "jpeg"] as const;
export type ThumbnailFormat = (typeof thumbnailFormats)[number];
/** The longer side in pixels. */
export const thumbnailSizes = [64, 128, 256, 512, 1_024] as const;
export type ThumbnailSize = (typeof thumbnailSizes)[number];

/** Media types of pictures, as the content shows them, and what the decoder calls them. */
const pictureFormats: Partial<Record<string, string>> = {
  ...{
    "image/png": "png",
    "image/apng": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/gif": "gif",
  },
  ...{ "image/avif": "heif", "image/tiff": "tiff" },
};
/** Media types of videos, and the only form in which the decoder may read them: no list of other files, for one. */
const videoFormats: Partial<Record<string, string>> = {
  ...{ "video/mp4": "mov", "video/quicktime": "mov", "video/x-m4v": "mov" },
  ...{ "video/webm": "matroska", "video/x-matroska": "matroska", "video/matroska": "matroska" },
};

/** The media types of files of which thumbnails are made. */
export const thumbnailMediaTypes = [...Object.keys(pictureFormats), ...Object.keys(videoFormats)];

/** Whether thumbnails are made of files of this type. */
export function hasThumbnail(mediaType: string): boolean {
  return pictureFormats[mediaType] !== undefined || videoFormats[mediaType] !== undefined;
}

/** Of pictures and frames; more is refused before it is decoded. */
const pixelsMax = 64 * 1024 * 1024;
const secondsMax = 20;

/**
 * Draws a picture, the first frame of an animation, or that of a video.
 * @throws NoThumbnailError the file is not what it seems to be, or too large to be decoded
 */
export async function drawThumbnail(
  path: string,
  mediaType: string,
  { size, format, ffmpegPath }: { size: ThumbnailSize; format: ThumbnailFormat; ffmpegPath: string | null },
): Promise<Buffer> {
  const video = videoFormats[mediaType];
  const source =
    video === undefined ? path : await readPoster(path, { ffmpegPath, form: video, pixelsMax, secondsMax });
  const expected = video === undefined ? pictureFormats[mediaType] : "png";
  // Imported with the first thumbnail, because a tenth of a second goes into loading it.
  const { default: sharp } = await import("sharp");
  try {
    const picture = sharp(source, { limitInputPixels: pixelsMax, sequentialRead: true, failOn: "error" });
    const found = (await picture.metadata()).format;
    if (found !== expected) throw new NoThumbnailError(`The file is ${found}, not ${mediaType}.`);
    const drawn = picture
      .autoOrient()
      .resize(size, size, { fit: "inside", withoutEnlargement: true })
      .timeout({ seconds: secondsMax });
    // JPEG has no transparency.
    return await (
      format === "webp"
        ? drawn.webp({ quality: 80 })
        : drawn.flatten({ background: "#ffffff" }).jpeg({ quality: 80, mozjpeg: false })
    ).toBuffer();
  } catch (error) {
    if (error instanceof NoThumbnailError) throw error;
    const reason = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    throw new NoThumbnailError(`The picture cannot be drawn: ${(reason ?? "").slice(0, 200)}.`, {
      cause: error,
    });
  }
}
