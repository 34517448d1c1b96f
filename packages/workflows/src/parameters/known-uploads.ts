import { uploadName, type JobProblem, type Upload } from "@genga/jobs";
import { type GivenFile } from "./output-reference.ts";
import { latentSpaceOf } from "./latent-spaces.ts";

/**
 * The requesting tenant's uploads that the parameters name, by id. An output of another job, whose size is not known yet,
 * is 0 × 0 pixels large.
 */
export type KnownUploads = ReadonlyMap<string, Upload>;

export const noUploads: KnownUploads = new Map();

/** Parameters that name uploads. */
const uploadParameters = ["initImage", "mask"] as const;

/** The ids that parameters name, whether or not the parameters are otherwise valid. */
export function uploadIdsIn(parameters: unknown): string[] {
  if (typeof parameters !== "object" || parameters === null) return [];
  return uploadParameters.flatMap((name) => {
    const id: unknown = Object.hasOwn(parameters, name) ? Reflect.get(parameters, name) : undefined;
    return typeof id === "string" ? [id.toLowerCase()] : [];
  });
}

/** What a file is known by among the uploads: its id, or for an output of another job, that job and the index. */
export function keyOfFile(file: GivenFile): string {
  return typeof file === "string" ? file.toLowerCase() : `${file.from} ${file.output}`;
}

/** The name under which a graph refers to a file. */
export function nameOfUpload(uploads: KnownUploads, file: GivenFile): string {
  const upload = uploads.get(keyOfFile(file));
  if (upload === undefined) throw new Error(`The upload ${keyOfFile(file)} was not looked up.`);
  return uploadName(upload);
}

interface NamesUploads {
  initImage?: GivenFile | undefined;
  mask?: GivenFile | undefined;
  width: number;
  height: number;
  components?: { textEncoderType?: string | undefined } | undefined;
}

/** The problems of missing uploads, and of masks that do not fit. */
export function problemsOfUploads(given: NamesUploads, uploads: KnownUploads): JobProblem[] {
  const missing = uploadParameters.flatMap((parameter) => {
    const file = given[parameter];
    return file === undefined || uploads.has(keyOfFile(file))
      ? []
      : [unknownUpload(parameter, keyOfFile(file))];
  });
  const moving = uploadParameters.flatMap((parameter) => {
    const upload = uploads.get(keyOfFile(given[parameter] ?? ""));
    return upload === undefined || isStill(upload) ? [] : [wrongKind(parameter, upload)];
  });
  if (moving.length > 0) return [...missing, ...moving];
  if (missing.length > 0 || given.initImage === undefined || given.mask === undefined) return missing;
  const image = uploads.get(keyOfFile(given.initImage));
  const mask = uploads.get(keyOfFile(given.mask));
  // The size of an output is known only when its job has completed.
  return image === undefined || mask === undefined || image.width * mask.width === 0
    ? []
    : problemsOfMask(given, image, mask);
}

function unknownUpload(parameter: string, id: string): JobProblem {
  const message = `${parameter}: there is no upload ${id}; send the image to POST /api/anime/uploads first.`;
  return { path: parameter, code: "unknown-upload", message, received: id };
}

/** An upload's type, and whether it moves. */
export function shownKind({ mediaType, frames }: Upload): string {
  if (mediaType.startsWith("video/") || frames === null) return mediaType;
  return frames === 1 ? `a still ${mediaType}` : `an ${mediaType} of ${frames} frames`;
}

function isStill({ mediaType, frames }: Upload): boolean {
  return mediaType.startsWith("image/") && (frames ?? 1) === 1;
}

function wrongKind(parameter: string, upload: Upload): JobProblem {
  const message = `${parameter} must be a still image, and the upload is ${shownKind(upload)}.`;
  return { path: parameter, code: "wrong-kind-of-file", message, received: upload.mediaType };
}

/**
 * A server stretches a mask to the size of the picture, but crops an image. If both happened, the mask would no longer
 * fit the image.
 */
function problemsOfMask(
  { width, height, components }: NamesUploads,
  image: Upload,
  mask: Upload,
): JobProblem[] {
  if (mask.width !== image.width || mask.height !== image.height) {
    const message = `mask is ${sizeOf(mask)}, and initImage ${sizeOf(image)}; they must have the same size.`;
    return [
      { path: "mask", code: "out-of-bounds", message, received: sizeOf(mask), accepted: sizeOf(image) },
    ];
  }
  const proportion = image.width / image.height;
  // Each side is rounded to whole steps, so the proportions can differ by this much.
  const tolerance = Math.max(16, (latentSpaceOf(components).step / 2) * (1 + proportion) + 1);
  if (Math.abs(width - height * proportion) < tolerance) return [];
  const message = `With a mask, width × height must have the proportions of initImage, ${sizeOf(image)}.`;
  const received = sizeOf({ width, height });
  return [{ path: "width", code: "out-of-bounds", message, received, accepted: sizeOf(image) }];
}

function sizeOf({ width, height }: { width: number; height: number }): string {
  return `${width} × ${height}`;
}

const sideMin = 256;
const sideMax = 2048;

/**
 * The upload's own size as a size to draw at: its proportions kept as far as the bounds allow.
 * @param step sides are multiples of it
 */
export function sizeLike(upload: Upload, step: number): { width: number; height: number } {
  const { width, height } = upload;
  const larger = Math.max(1, sideMin / Math.min(width, height));
  const factor = Math.min(larger, sideMax / Math.max(width, height));
  const fitted = (side: number): number =>
    Math.min(sideMax, Math.max(sideMin, Math.round((side * factor) / step) * step));
  return { width: fitted(width), height: fitted(height) };
}
