import { type Readable } from "node:stream";
import { uploadStorageKey, type OutputStorage, type Upload, type UploadStore } from "@genga/jobs";
import { inspectFile, type FileFacts } from "./inspect-file.ts";
import { fileBytesMax } from "./upload-limits.ts";

interface KeepingParts {
  uploads: Pick<UploadStore, "keepFile" | "saveUpload">;
  storage: Pick<OutputStorage, "writeChecked">;
  tenantId: string;
  /** Refuses the file before anything of it is kept. */
  assertWanted?: (facts: FileFacts) => void;
}

/**
 * Checks a file while it arrives, and keeps it as an upload of the tenant.
 * @throws RefusedError what is wrong with the file  @throws StorageError  @throws StoreUnavailableError
 */
export async function keepUpload(
  content: Readable,
  signal: AbortSignal,
  { uploads, storage, tenantId, assertWanted }: KeepingParts,
): Promise<Upload & { isNew: boolean }> {
  const checked: FileFacts[] = [];
  await storage.writeChecked({
    ...{ body: content, bytesMax: fileBytesMax, signal },
    check: async (written) => {
      const facts = await inspectFile(written);
      assertWanted?.(facts);
      checked.push(facts);
      // The file is stored before the row, so that no row names a missing file. Uploads of equal content share one file.
      await uploads.keepFile(facts);
      return { storageKey: uploadStorageKey(facts), mediaType: facts.mediaType };
    },
  });
  const [facts] = checked;
  if (facts === undefined) throw new Error("The file was stored unchecked.");
  return await uploads.saveUpload({ ...facts, tenantId });
}
