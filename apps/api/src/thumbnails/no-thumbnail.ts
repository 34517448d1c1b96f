/** Of this file no thumbnail can be made, now or later. */
export class NoThumbnailError extends Error {
  override readonly name = "NoThumbnailError";
}
