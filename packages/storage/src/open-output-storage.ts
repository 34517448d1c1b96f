import { join } from "node:path";
import { type OutputStorage } from "@genga/jobs";
import { createFolderStorage } from "./folder-storage.ts";

/** A folder, or a bucket with the prefix of its keys. */
export type OutputLocation =
  | { readonly kind: "file"; readonly folder: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint?: string | undefined;
      readonly region?: string | undefined;
      /** Whether links may lead to the bucket; absent = they may. */
      readonly linksTo?: "bucket" | "api";
      /** The URL under which clients reach the bucket's server, if it is not `endpoint`. */
      readonly publicUrl?: string | undefined;
    };

/**
 * Opens the configured storage, and tests that it can be written to.
 *
 * @param dataDir the folder where files are written before they are uploaded to a bucket
 * @throws StorageError it cannot be written to
 */
export async function openOutputStorage(location: OutputLocation, dataDir: string): Promise<OutputStorage> {
  if (location.kind === "file") return createFolderStorage({ folder: location.folder });
  // Imported only if it is used, because AWS's client loads slowly.
  const { createS3Storage } = await import("./s3-storage.ts");
  return createS3Storage({ ...location, partialFolder: join(dataDir, "partial") });
}
