import { type IdempotencyClaim } from "./idempotency-store.ts";
import { type Upload } from "./upload-store.ts";

/** A record of a tenant over one of its uploads, with an id of its own. Several may have the same content. */
export interface Asset {
  id: string;
  upload: Upload;
  /** What its sender calls it; it names no place anywhere. */
  filePath: string | null;
  tags: string[];
  createdAt: Date;
  /** It is removed then, if its sender asked for that. */
  expiresAt: Date | null;
  /** When its upload was sent or named last. */
  usedAt: Date;
}

/** What the sender of an asset says of it. */
export interface AssetFields {
  filePath: string | null;
  tags: string[];
  /** How long it is kept; `null` = for as long as its upload is. */
  expiresInSeconds: number | null;
}

/** Records of one content of a tenant, so that nobody can fill the table without sending files. */
export const assetsOfContentMax = 10_000;

/** Every method throws `StoreUnavailableError` when the database cannot be reached. */
export interface AssetStore extends AssetFinder {
  /**
   * Makes a record over an upload, which counts as just used, and notes it under the request's key in the same transaction. Of
   * `assetsOfContentMax` records one with the same path and tags is taken again, if both expire or neither does.
   * @returns `null` = the upload was removed meanwhile
   * @throws ClaimLostError @throws InvalidJobError `too-many-assets`
   */
  makeAsset(
    upload: Pick<Upload, "id" | "tenantId">,
    fields: AssetFields,
    claim?: IdempotencyClaim,
  ): Promise<Asset | null>;
  /**
   * The same over the upload with this content. A record with the same path and tags is taken again, if both expire or neither
   * does, and kept for as long as the longer of the two was to be.
   * @param blake3 lowercase hex
   * @returns `null` = the tenant has no such upload
   * @throws InvalidJobError `too-many-assets`
   */
  makeAssetOfContent(
    tenantId: string,
    blake3: string,
    fields: AssetFields,
  ): Promise<{ asset: Asset; isNew: boolean } | null>;
  /** Whether the tenant has an upload with this content. */
  hasContent(tenantId: string, blake3: string): Promise<boolean>;
  /** Its upload stays. @returns whether it was there */
  removeAsset(tenantId: string, id: string): Promise<boolean>;
}

export interface AssetFinder {
  /** Those of these assets that the tenant has. An id that is not a UUID is not found. */
  findAssets(tenantId: string, ids: string[]): Promise<Asset[]>;
}
