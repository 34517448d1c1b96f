import { type ScanPosition, type UnusedRows, uploadStorageKey, uploadMediaTypes } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";

// Whether a row is unused is decided after it is locked, by a statement of its own. That statement sees everything that
// was committed while it waited for the lock. Meanwhile no new job can use the locked row, since the job's foreign key
// needs a lock on it, too. Rows are locked in the order of their keys, as submissions do.

/** Removes those of the graphs that no job uses. */
export async function removeUnusedGraphs(
  transaction: Prisma.TransactionClient,
  hashes: string[],
): Promise<number> {
  if (hashes.length === 0) return 0;
  await transaction.$queryRaw`
    SELECT FROM workflows WHERE hash = ANY(${hashes}::text[]) ORDER BY hash FOR UPDATE`;
  return await transaction.$executeRaw`
    DELETE FROM workflows graph WHERE hash = ANY(${hashes}::text[])
      AND NOT EXISTS (SELECT FROM job_parameters asked WHERE asked.workflow_hash = graph.hash)`;
}

/** Removes those of the batches that have no jobs any more, and leaves their tombstones. Batches never get jobs later. */
export async function removeUnusedBatches(
  transaction: Prisma.TransactionClient,
  ids: string[],
): Promise<number> {
  if (ids.length === 0) return 0;
  await transaction.$queryRaw`SELECT FROM batches WHERE id = ANY(${ids}::uuid[]) ORDER BY id FOR UPDATE`;
  return await transaction.$executeRaw`
    WITH removed AS (
      DELETE FROM batches batch WHERE id = ANY(${ids}::uuid[])
        AND NOT EXISTS (SELECT FROM jobs job WHERE job.batch_id = batch.id)
      RETURNING id, tenant_id
    )
    INSERT INTO removed_batches (id, tenant_id) SELECT id, tenant_id FROM removed`;
}

/**
 * The file of a removed upload stays for this time. It is longer than any upload takes between writing its file and its
 * row.
 */
const uploadFileGrace = "1 hour";

/**
 * Removes those of the uploads that no job names and that were not used for a while, unless an asset over one is to be kept
 * for a time that is not over.
 */
async function removeUnusedUploads(
  transaction: Prisma.TransactionClient,
  ids: string[],
  unusedMs: number,
): Promise<number> {
  const locked = await lockUploads(transaction, ids);
  return await removeUploads(transaction, locked, {
    isUnused: Prisma.sql`last_used_at < now() - ${unusedMs}::float8 * interval '1 millisecond'`,
    keepsNamed: false,
  });
}

/** An upload that removed jobs named. */
export interface NamedUpload {
  id: string;
  /** When the newest of these jobs was submitted, in PostgreSQL's words. */
  namedAt: string;
}

/**
 * Removes those of the uploads that no job names any more. One that was sent again since the removed jobs were submitted
 * stays, like every upload without a job, for a submission to come. Those with an asset stay as well; assets that have no
 * time of their own count as used now.
 */
export async function removeUploadsOfJobs(
  transaction: Prisma.TransactionClient,
  uploads: readonly NamedUpload[],
): Promise<void> {
  const ids = uploads.map(({ id }) => id);
  const locked = await lockUploads(transaction, ids);
  if (locked.length === 0) return;
  const isUnused = Prisma.sql`last_used_at <= (
    SELECT named.at FROM unnest(${ids}::uuid[], ${uploads.map(({ namedAt }) => namedAt)}::text[]::timestamptz[]) AS named(id, at)
    WHERE named.id = upload.id)`;
  await removeUploads(transaction, locked, { isUnused, keepsNamed: true });
  // Of what stays, the submission of a removed job is no reason to outlive the older jobs that name it.
  await transaction.$executeRaw`
    UPDATE uploads upload SET last_used_at = created_at
    WHERE id = ANY(${locked}::uuid[]) AND created_at < last_used_at AND ${isUnused}
      AND EXISTS (SELECT FROM job_uploads named WHERE named.upload_id = upload.id)`;
  await countAsUsedNow(transaction, locked);
}

/** An upload that a submission has locked is skipped, not waited for, because submissions lock uploads and graphs in either order. */
async function lockUploads(transaction: Prisma.TransactionClient, ids: string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const locked = await transaction.$queryRaw<{ id: string }[]>`
    SELECT id FROM uploads WHERE id = ANY(${ids}::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED`;
  return locked.map(({ id }) => id);
}

/**
 * Their files may also belong to uploads of other tenants with the same content, so the files are checked and removed later.
 * @param keepsNamed uploads with an asset stay, also those whose assets have no time of their own
 */
async function removeUploads(
  transaction: Prisma.TransactionClient,
  locked: readonly string[],
  { isUnused, keepsNamed }: { isUnused: Prisma.Sql; keepsNamed: boolean },
): Promise<number> {
  if (locked.length === 0) return 0;
  const removed = await transaction.$queryRaw<{ sha256: string; mediaType: string }[]>`
    DELETE FROM uploads upload WHERE id = ANY(${locked}::uuid[]) AND ${isUnused}
      AND NOT EXISTS (SELECT FROM job_uploads named WHERE named.upload_id = upload.id)
      AND NOT EXISTS (SELECT FROM template_uploads named WHERE named.upload_id = upload.id)
      AND NOT EXISTS (
        SELECT FROM assets record WHERE record.upload_id = upload.id
          AND coalesce(record.expires_at > now(), ${keepsNamed}))
      AND NOT EXISTS (SELECT FROM job_parameters WHERE NOT uploads_noted)
    RETURNING sha256, media_type AS "mediaType"`;
  const keys = removed.flatMap(({ sha256, mediaType }) => {
    const known = uploadMediaTypes.find((type) => type === mediaType);
    return known === undefined ? [] : [uploadStorageKey({ sha256, mediaType: known })];
  });
  await transaction.$executeRaw`
    INSERT INTO files_to_remove (storage_key, due_at)
    SELECT key, now() + ${uploadFileGrace}::interval
    FROM (SELECT DISTINCT key FROM unnest(${keys}::text[]) AS key) AS content ORDER BY key
    ON CONFLICT (storage_key) DO UPDATE SET due_at = excluded.due_at`;
  return removed.length;
}

/**
 * Of those of these uploads, which are locked, that have an asset without a time of its own, and that no job names any more: the
 * time for which unused uploads stay begins now. While a job needed the upload, the asset had no time at which it would be gone.
 */
async function countAsUsedNow(
  transaction: Prisma.TransactionClient,
  locked: readonly string[],
): Promise<void> {
  await transaction.$executeRaw`
    UPDATE uploads upload SET last_used_at = now() WHERE id = ANY(${locked}::uuid[])
      AND EXISTS (SELECT FROM assets record WHERE record.upload_id = upload.id AND record.expires_at IS NULL)
      AND NOT EXISTS (SELECT FROM job_uploads named WHERE named.upload_id = upload.id)`;
}

/**
 * Records over uploads that were to be kept for a time of their own, which is over. Other assets over the same uploads had no
 * time at which they would be gone, and get one. A locked upload is being used, which does the same.
 */
async function removeExpiredAssets(database: PrismaClient, limit: number): Promise<number> {
  return await database.$transaction(async (transaction) => {
    const removed = await transaction.$queryRaw<{ uploadId: string }[]>`
      DELETE FROM assets WHERE id IN (
        SELECT id FROM assets WHERE expires_at <= now() LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)
      RETURNING upload_id AS "uploadId"`;
    if (removed.length === 0) return 0;
    const ids = removed.map(({ uploadId }) => uploadId);
    await countAsUsedNow(transaction, await lockUploads(transaction, ids));
    return removed.length;
  });
}

/** An archived template that no job names is kept for this time: longer than any submission takes that has read it. */
const archivedFor = "1 day";

/** Removes archived templates that no job names any more, with their versions. The names are free again. */
async function removeUnusedTemplates(database: PrismaClient): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM templates template WHERE archived_at < now() - ${archivedFor}::interval
      AND NOT EXISTS (
        SELECT FROM jobs job WHERE job.tenant_id = template.tenant_id AND job.template_name = template.name)`;
}

/**
 * Checks a page of each table. A removal of jobs also removes their graphs and batches, so the unused ones that remain
 * come from submissions that failed half-way, and from removals by a process of an earlier version.
 */
export async function removeUnused(
  database: PrismaClient,
  options: { from: ScanPosition; limit: number; graceMs: number; uploadsUnusedMs: number | null },
): Promise<{ removed: UnusedRows; next: ScanPosition }> {
  const { from, limit, graceMs, uploadsUnusedMs } = options;
  const graphs = await database.$queryRaw<ScannedRow[]>`
    SELECT hash AS key, created_at < now() - ${graceMs}::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM job_parameters asked WHERE asked.workflow_hash = page.hash) AS "isUnused"
    FROM (SELECT hash, created_at FROM workflows WHERE hash > ${from.graph ?? ""} ORDER BY hash LIMIT ${limit}::int) page`;
  const batches = await database.$queryRaw<ScannedRow[]>`
    SELECT id::text AS key, created_at < now() - ${graceMs}::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM jobs job WHERE job.batch_id = page.id) AS "isUnused"
    FROM (SELECT id, created_at FROM batches WHERE id > ${from.batch ?? firstId}::uuid ORDER BY id LIMIT ${limit}::int) page`;
  const uploads = await database.$queryRaw<ScannedRow[]>`
    SELECT id::text AS key, last_used_at < now() - ${uploadsUnusedMs}::float8 * interval '1 millisecond'
      AND NOT EXISTS (SELECT FROM job_uploads named WHERE named.upload_id = page.id)
      AND NOT EXISTS (SELECT FROM template_uploads named WHERE named.upload_id = page.id)
      AND NOT EXISTS (SELECT FROM assets record WHERE record.upload_id = page.id AND record.expires_at > now())
      AS "isUnused"
    FROM (
      SELECT id, last_used_at FROM uploads WHERE id > ${from.upload ?? firstId}::uuid ORDER BY id LIMIT ${limit}::int
    ) page`;
  const removed = {
    expiredAssets: await removeExpiredAssets(database, limit),
    graphs: await database.$transaction((transaction) => removeUnusedGraphs(transaction, unusedOf(graphs))),
    batches: await database.$transaction((transaction) =>
      removeUnusedBatches(transaction, unusedOf(batches)),
    ),
    uploads:
      uploadsUnusedMs === null
        ? 0
        : await database.$transaction((transaction) =>
            removeUnusedUploads(transaction, unusedOf(uploads), uploadsUnusedMs),
          ),
    templates: await removeUnusedTemplates(database),
  };
  const [graph, batch, upload] = [graphs, batches, uploads].map((page) =>
    page.length < limit ? undefined : page.at(-1)?.key,
  );
  const next = {
    ...(graph !== undefined && { graph }),
    ...(batch !== undefined && { batch }),
    ...(upload !== undefined && { upload }),
  };
  return { removed, next };
}

interface ScannedRow {
  key: string;
  isUnused: boolean | null;
}

const firstId = "00000000-0000-0000-0000-000000000000";

function unusedOf(page: ScannedRow[]): string[] {
  return page.flatMap(({ key, isUnused }) => (isUnused === true ? [key] : []));
}
