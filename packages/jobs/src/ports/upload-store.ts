/** An image that a tenant sent, to begin with or as a mask. Its bytes are in storage, once for each content. */
export interface Upload {
  id: string;
  tenantId: string;
  /** Lowercase hex; names the content. */
  sha256: string;
  mediaType: UploadMediaType;
  bytes: number;
  /** Pixels, as shown: turned as the file itself says. */
  width: number;
  height: number;
  createdAt: Date;
}

export type NewUpload = Omit<Upload, "id" | "createdAt">;

/** Kinds of images that every ComfyUI reads. */
export const uploadMediaTypes = ["image/png", "image/jpeg", "image/webp"] as const;
export type UploadMediaType = (typeof uploadMediaTypes)[number];

/** Every method throws `StoreUnavailableError` when the database cannot be reached. */
export interface UploadStore extends UploadFinder {
  /** To be called before a file is written: the file of an earlier upload of that content is not removed any more. */
  keepFile(upload: Pick<Upload, "sha256" | "mediaType">): Promise<void>;
  /** The same content of the same tenant is one upload: it comes back with the id that it has. */
  saveUpload(upload: NewUpload): Promise<Upload>;
}

export interface UploadFinder {
  /** Those of these uploads that are the tenant's own. Ids that cannot be ids are not found. */
  findUploads(tenantId: string, ids: string[]): Promise<Upload[]>;
  /** Those of these contents that the tenant has sent. */
  findUploadsByContent(tenantId: string, sha256s: string[]): Promise<Upload[]>;
}

const extensions: Record<UploadMediaType, string> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
};

/** The folder of every server's input folder that uploads are sent to. */
export const uploadFolder = "genga";
const namePattern =
  /^genga\/(?<filename>(?<sha256>[0-9a-f]{64})\.(?<extension>png|jpg|webp))(?: \[input\])?$/;

/** How a graph refers to an upload, whatever server runs it: `genga/<sha256>.png`. */
export function uploadName({ sha256, mediaType }: Pick<Upload, "sha256" | "mediaType">): string {
  return `${uploadFolder}/${sha256}.${extensions[mediaType]}`;
}

/** Where the bytes of an upload are kept: by content, so that equal ones are kept once. */
export function uploadStorageKey({ sha256, mediaType }: Pick<Upload, "sha256" | "mediaType">): string {
  return `uploads/${sha256.slice(0, 2)}/${sha256}.${extensions[mediaType]}`;
}

/**
 * What a name in a graph says of the upload that it means; `null` for any other text. Editors may add the mark of the
 * folder that every upload lies in (` [input]`); no other spelling is taken.
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
