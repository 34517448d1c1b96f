/** An image or a video that a tenant sent for its jobs. Storage has its bytes, once for each content. */
export interface Upload {
  id: string;
  tenantId: string;
  /** Lowercase hex; identifies the content. */
  sha256: string;
  mediaType: UploadMediaType;
  bytes: number;
  /** In pixels, after the rotation that the file itself asks for. */
  width: number;
  height: number;
  /** Pictures of an animation or a video, 1 of a still picture; `null` of uploads of earlier versions. */
  frames: number | null;
  /** Of an animation or a video. */
  durationMs: number | null;
  /** Lowercase hex; by it the Comfy API v2 finds the content. `null` of uploads of earlier versions. */
  blake3: string | null;
  createdAt: Date;
}

export type NewUpload = Omit<Upload, "id" | "createdAt">;

/** The kinds of images and videos that every ComfyUI version reads. */
export const uploadMediaTypes = ["image/png", "image/jpeg", "image/webp", "image/gif", "video/mp4"] as const;
export type UploadMediaType = (typeof uploadMediaTypes)[number];

/** Every method throws `StoreUnavailableError` when the database cannot be reached. */
export interface UploadStore extends UploadFinder {
  /**
   * To be called before the file is written. It stops a pending removal of the file of an earlier upload with that
   * content.
   */
  keepFile(upload: Pick<Upload, "sha256" | "mediaType">): Promise<void>;
  /** If the tenant sent this content before, returns the existing upload with its id, and `isNew` is false. */
  saveUpload(upload: NewUpload): Promise<Upload & { isNew: boolean }>;
}

export interface UploadFinder {
  /** Those of these uploads that belong to the tenant. An id that is not a UUID is not found. */
  findUploads(tenantId: string, ids: string[]): Promise<Upload[]>;
  /** The tenant's uploads with these contents. */
  findUploadsByContent(tenantId: string, sha256s: string[]): Promise<Upload[]>;
}

const extensions: Record<UploadMediaType, string> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "image/gif": "gif",
  "video/mp4": "mp4",
};

/** The folder in every server's input folder to which uploads are sent. */
export const uploadFolder = "genga";
const namePattern =
  /^genga\/(?<filename>(?<sha256>[0-9a-f]{64})\.(?<extension>png|jpg|webp|gif|mp4))(?: \[input\])?$/;

/** The name of an upload in graphs, the same for every server: `genga/<sha256>.png`. */
export function uploadName({ sha256, mediaType }: Pick<Upload, "sha256" | "mediaType">): string {
  return `${uploadFolder}/${sha256}.${extensions[mediaType]}`;
}

/** The storage key of an upload: by content, so that equal files are stored once. */
export function uploadStorageKey({ sha256, mediaType }: Pick<Upload, "sha256" | "mediaType">): string {
  return `uploads/${sha256.slice(0, 2)}/${sha256}.${extensions[mediaType]}`;
}

/**
 * Reads the name of an upload in a graph; `null` for any other text. Editors may append ` [input]`, the mark of the
 * folder in which every upload lies; no other spelling is accepted.
 */
export function readUploadName(
  name: unknown,
): { sha256: string; mediaType: UploadMediaType; filename: string; storageKey: string } | null {
  if (typeof name !== "string") return null;
  const { filename, sha256, extension } = namePattern.exec(name)?.groups ?? {};
  const mediaType = uploadMediaTypes.find((type) => extensions[type] === extension);
  if (filename === undefined || sha256 === undefined || mediaType === undefined) return null;
  return { sha256, mediaType, filename, storageKey: uploadStorageKey({ sha256, mediaType }) };
}
