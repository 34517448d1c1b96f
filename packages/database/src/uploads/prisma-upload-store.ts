import { uploadStorageKey, type NewUpload, type Upload, type UploadStore } from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";
import { uploadFromRow } from "./upload-rows.ts";

/**
 * Uploads in PostgreSQL. Every query has the tenant as a condition, so that uploads of other tenants are never found.
 */
export class PrismaUploadStore implements UploadStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /** Waits while the file is being removed. */
  keepFile(upload: Pick<Upload, "sha256" | "mediaType">): Promise<void> {
    return withMappedErrors(async () => {
      await this.#database.fileToRemove.deleteMany({ where: { storageKey: uploadStorageKey(upload) } });
    });
  }

  /** Two uploads of the same content at the same time get the same row, which then counts as just used. */
  saveUpload(upload: NewUpload): Promise<Upload & { isNew: boolean }> {
    return withMappedErrors(async () => {
      const { tenantId, sha256, mediaType, bytes, width, height, frames, durationMs, blake3 } = upload;
      const id = uuidv7();
      await this.#database.$executeRaw`
        INSERT INTO uploads (id, tenant_id, sha256, media_type, bytes, width, height, frames, duration_ms, blake3)
        VALUES (${id}::uuid, ${tenantId}::uuid, ${sha256}, ${mediaType}, ${bytes}, ${width}, ${height},
          ${frames}::int, ${durationMs}::int, ${blake3})
        ON CONFLICT (tenant_id, sha256) DO UPDATE SET last_used_at = now(),
          frames = coalesce(uploads.frames, excluded.frames),
          duration_ms = coalesce(uploads.duration_ms, excluded.duration_ms),
          blake3 = coalesce(uploads.blake3, excluded.blake3)`;
      const saved = uploadFromRow(
        await this.#database.upload.findUniqueOrThrow({ where: { tenantId_sha256: { tenantId, sha256 } } }),
      );
      return { ...saved, isNew: saved.id === id };
    });
  }

  findUploads(tenantId: string, ids: string[]): Promise<Upload[]> {
    return withMappedErrors(async () => {
      const known = ids.filter((id) => isUuid(id));
      if (known.length === 0) return [];
      const rows = await this.#database.upload.findMany({ where: { tenantId, id: { in: known } } });
      return rows.map(uploadFromRow);
    });
  }

  findUploadsByContent(tenantId: string, sha256s: string[]): Promise<Upload[]> {
    return withMappedErrors(async () => {
      if (sha256s.length === 0) return [];
      const rows = await this.#database.upload.findMany({ where: { tenantId, sha256: { in: sha256s } } });
      return rows.map(uploadFromRow);
    });
  }
}
