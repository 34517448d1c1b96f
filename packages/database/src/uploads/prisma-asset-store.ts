import {
  type Asset,
  type AssetFields,
  assetsOfContentMax,
  type AssetStore,
  type IdempotencyClaim,
  InvalidJobError,
  type Upload,
} from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import {
  Prisma,
  type Asset as AssetRow,
  type PrismaClient,
  type Upload as UploadRow,
} from "../generated/client.ts";
import { fulfilClaim } from "../jobs/accepting/idempotency-keys.ts";
import { uploadFromRow } from "./upload-rows.ts";

/** Records over uploads in PostgreSQL. Every statement has the tenant as a condition. */
export class PrismaAssetStore implements AssetStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  makeAsset(
    { id: uploadId, tenantId }: Pick<Upload, "id" | "tenantId">,
    fields: AssetFields,
    claim?: IdempotencyClaim,
  ): Promise<Asset | null> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        if (
          !(await isUsedNow(
            transaction,
            Prisma.sql`tenant_id = ${tenantId}::uuid AND id = ${uploadId}::uuid`,
          ))
        )
          return null;
        const asked = { tenantId, uploadId, fields };
        const hasRoom = await hasRoomForAsset(transaction, uploadId);
        const known = hasRoom ? null : await keepAsset(transaction, asked);
        if (!hasRoom && known === null) throw tooManyAssets();
        const id = known ?? (await insertAsset(transaction, asked));
        if (claim !== undefined)
          await fulfilClaim(transaction, {
            claim,
            resourceId: id,
            remarks: { warnings: [], notChecked: [] },
          });
        return await assetOf(transaction, id);
      }),
    );
  }

  makeAssetOfContent(
    tenantId: string,
    blake3: string,
    fields: AssetFields,
  ): Promise<{ asset: Asset; isNew: boolean } | null> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const uploadId = await isUsedNow(
          transaction,
          Prisma.sql`tenant_id = ${tenantId}::uuid AND blake3 = ${blake3}`,
        );
        if (uploadId === false) return null;
        // The row of the upload is locked, so that two equal requests do not make two equal records.
        const known = await keepAsset(transaction, { tenantId, uploadId, fields });
        if (known === null && !(await hasRoomForAsset(transaction, uploadId))) throw tooManyAssets();
        const id = known ?? (await insertAsset(transaction, { tenantId, uploadId, fields }));
        return { asset: await assetOf(transaction, id), isNew: known === null };
      }),
    );
  }

  hasContent(tenantId: string, blake3: string): Promise<boolean> {
    return withMappedErrors(async () => {
      const found = await this.#database.upload.findFirst({
        where: { tenantId, blake3 },
        select: { id: true },
      });
      return found !== null;
    });
  }

  findAssets(tenantId: string, ids: string[]): Promise<Asset[]> {
    return withMappedErrors(async () => {
      const known = ids.filter((id) => isUuid(id));
      if (known.length === 0) return [];
      const rows = await this.#database.asset.findMany({
        where: { tenantId, id: { in: known }, OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }] },
        include: { upload: true },
      });
      return rows.map(assetFromRow);
    });
  }

  removeAsset(tenantId: string, id: string): Promise<boolean> {
    return withMappedErrors(async () => {
      if (!isUuid(id)) return false;
      // It may have kept its upload for other assets; these are there for as long as an upload that was used now.
      const removed = await this.#database.$queryRaw<{ isThere: boolean }[]>`
        WITH removed AS (
          DELETE FROM assets WHERE tenant_id = ${tenantId}::uuid AND id = ${id}::uuid
          RETURNING id, upload_id, coalesce(expires_at > now(), true) AS "isThere"
        ), held AS (
          SELECT upload.id FROM uploads upload JOIN removed ON removed.upload_id = upload.id
          WHERE EXISTS (
            SELECT FROM assets other
            WHERE other.upload_id = upload.id AND other.id <> removed.id AND other.expires_at IS NULL)
          FOR UPDATE OF upload SKIP LOCKED
        ), used AS (
          UPDATE uploads SET last_used_at = now() WHERE id IN (SELECT id FROM held)
        )
        SELECT "isThere" FROM removed`;
      return removed[0]?.isThere === true;
    });
  }
}

/** Locks the upload as well, so that nothing removes it. @returns its id; false = there is none */
async function isUsedNow(transaction: Prisma.TransactionClient, wanted: Prisma.Sql): Promise<string | false> {
  const [used] = await transaction.$queryRaw<{ id: string }[]>`
    UPDATE uploads SET last_used_at = now()
    WHERE id = (SELECT id FROM uploads WHERE ${wanted} ORDER BY id LIMIT 1)
    RETURNING id`;
  return used?.id ?? false;
}

/** Expired assets of one upload that are removed by one statement when it has no room for another one. */
const expiredAtOnce = 1_000;

/**
 * Expired assets count until they are removed, which makes room. The row of the upload is locked, so that nobody else adds an
 * asset.
 */
async function hasRoomForAsset(transaction: Prisma.TransactionClient, uploadId: string): Promise<boolean> {
  const isFull = async (): Promise<boolean> => {
    const [row] = await transaction.$queryRaw<[{ assets: number }]>`
      SELECT count(*)::int AS assets FROM (
        SELECT FROM assets WHERE upload_id = ${uploadId}::uuid LIMIT ${assetsOfContentMax}::int) found`;
    return row.assets >= assetsOfContentMax;
  };
  // A refusal rolls the removal back, so it is repeated until there is room. There may be far more assets than the bound: older
  // versions had none.
  while (await isFull()) {
    const removed = await transaction.$executeRaw`
      DELETE FROM assets WHERE id IN (
        SELECT id FROM assets WHERE upload_id = ${uploadId}::uuid AND expires_at <= now()
        LIMIT ${expiredAtOnce}::int FOR UPDATE SKIP LOCKED)`;
    if (removed === 0) return false;
  }
  return true;
}

function tooManyAssets(): InvalidJobError {
  const message =
    `There are ${assetsOfContentMax} assets of this content, as many as there may be. Remove some, or name one of them ` +
    "again by the same file_path and tags, with expires_in if it has one and otherwise without.";
  return new InvalidJobError([{ path: "file_path", code: "too-many-assets", message }]);
}

interface NewRecord {
  tenantId: string;
  uploadId: string;
  fields: AssetFields;
}

async function insertAsset(
  transaction: Prisma.TransactionClient,
  { tenantId, uploadId, fields: { filePath, tags, expiresInSeconds } }: NewRecord,
): Promise<string> {
  const id = uuidv7();
  await transaction.$executeRaw`
    INSERT INTO assets (id, tenant_id, upload_id, file_path, tags, expires_at)
    VALUES (${id}::uuid, ${tenantId}::uuid, ${uploadId}::uuid, ${filePath}, ${tags}::text[],
      now() + ${expiresInSeconds}::float8 * interval '1 second')`;
  return id;
}

/** Finds an equal record, and prolongs it if need be. @returns its id; `null` = there is none */
async function keepAsset(
  transaction: Prisma.TransactionClient,
  { tenantId, uploadId, fields: { filePath, tags, expiresInSeconds } }: NewRecord,
): Promise<string | null> {
  const [kept] = await transaction.$queryRaw<{ id: string }[]>`
    UPDATE assets
    SET expires_at = greatest(expires_at, now() + ${expiresInSeconds}::float8 * interval '1 second')
    WHERE id = (
      SELECT id FROM assets WHERE tenant_id = ${tenantId}::uuid AND upload_id = ${uploadId}::uuid
        AND file_path IS NOT DISTINCT FROM ${filePath} AND tags = ${tags}::text[]
        AND coalesce(expires_at > now(), true)
        AND (expires_at IS NULL) = (${expiresInSeconds}::float8 IS NULL)
      ORDER BY id LIMIT 1)
    RETURNING id`;
  return kept?.id ?? null;
}

async function assetOf(transaction: Prisma.TransactionClient, id: string): Promise<Asset> {
  return assetFromRow(
    await transaction.asset.findUniqueOrThrow({ where: { id }, include: { upload: true } }),
  );
}

function assetFromRow(row: AssetRow & { upload: UploadRow }): Asset {
  const { id, filePath, tags, createdAt, expiresAt, upload } = row;
  return {
    id,
    upload: uploadFromRow(upload),
    filePath,
    tags,
    createdAt,
    expiresAt,
    usedAt: upload.lastUsedAt,
  };
}
