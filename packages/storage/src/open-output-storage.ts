import { join } from "node:path";
import { type OutputStorage } from "@genga/jobs";
import { createFolderStorage } from "./folder-storage.ts";

/** A folder, or a bucket with what stands before its keys. */
export type OutputLocation =
  | { readonly kind: "file"; readonly folder: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint?: string | undefined;
      readonly region?: string | undefined;
    };

/**
 * The storage that was configured, tried out.
 *
 * @param dataDir where files on their way to a bucket grow
 * @throws StorageError it cannot be written to
 */
export async function openOutputStorage(location: OutputLocation, dataDir: string): Promise<OutputStorage> {
  if (location.kind === "file") return createFolderStorage({ folder: location.folder });
  // Only where it is used: AWS's client takes a while to load.
  const { createS3Storage } = await import("./s3-storage.ts");
  return createS3Storage({ ...location, partialFolder: join(dataDir, "partial") });
}
