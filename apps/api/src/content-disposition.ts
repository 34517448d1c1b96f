/**
 * Raster images, audio and video, which a browser shows without running anything in them: these types are told by a
 * file's content when it is stored, not by its name. Not SVG, which may hold scripts; not text, which any content is.
 */
const shown = /^(image\/(png|jpeg|gif|webp|avif|apng|bmp|tiff|heic|heif|jxl)|(video|audio)\/[\w.+-]+)(;|$)/;

/** Sounds and videos. */
export function isPlayed(mediaType: string): boolean {
  return isSafeToShow(mediaType) && !mediaType.startsWith("image/");
}

export function isSafeToShow(mediaType: string): boolean {
  return shown.test(mediaType);
}

/**
 * A `Content-Disposition` (RFC 6266) for a name that somebody else chose: plain characters for old clients, and the
 * whole name in UTF-8 for the rest. Separators, control characters and leading dots are taken out of both.
 */
export function contentDisposition(kind: "inline" | "attachment", filename: string): string {
  const whole =
    filename
      .replace(/\p{Surrogate}/gu, "")
      .replace(/[\p{Cc}\p{Cf}/\\]/gu, "_")
      .replace(/^[.\s]+/, "")
      .slice(-150) || "output";
  const plain = whole.replace(/[^\x20-\x7e]|["%;\\]/g, "_");
  const encoded = encodeURIComponent(whole.replace(/\p{Surrogate}/gu, "")).replace(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${kind}; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
