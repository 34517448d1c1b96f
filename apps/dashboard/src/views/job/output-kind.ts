import { type Output } from "@genga/client";

export type OutputKind = "picture" | "video" | "audio" | "text" | "file";

// Browsers show these, and none of them can run anything. SVG, HTML and PDF are files to be downloaded.
const pictures = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"]);
const videos = new Set(["video/mp4", "video/webm", "video/ogg", "video/quicktime"]);
const audios = new Set([
  ...[
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/x-wav",
    "audio/flac",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
  ],
]);

/** How an output is shown. */
export function kindOf({ kind, mediaType }: Pick<Output, "kind" | "mediaType">): OutputKind {
  if (kind === "text") return "text";
  const type = mediaType.split(";")[0]?.trim().toLowerCase() ?? "";
  if (pictures.has(type)) return "picture";
  if (videos.has(type)) return "video";
  return audios.has(type) ? "audio" : "file";
}
