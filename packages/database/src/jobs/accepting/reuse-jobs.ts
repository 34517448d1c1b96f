import { type Statements } from "../../connection/plain-statements.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { type PreparedJob } from "./prepare-jobs.ts";

/** The completed jobs from which jobs of a submission are answered, by the ids of the latter. */
export type Sources = ReadonlyMap<string, string>;

/** A job that others were to be answered from was removed before their transaction had locked it. */
export class SourceGoneError extends Error {
  override readonly name = "SourceGoneError";
}

/**
 * Finds for each job that may be answered from a completed one of the tenant the job to answer it from. A job that waits for
 * others runs, since its client wants it to begin after these.
 */
export async function findSources(
  database: PrismaClient,
  tenantId: string,
  prepared: readonly PreparedJob[],
): Promise<Sources> {
  const asked = prepared.flatMap(({ job, reuseHash }) => {
    const mayReuse = job.mayReuse === true && (job.dependsOn ?? []).length === 0;
    return mayReuse && reuseHash !== null ? [{ id: job.id, reuseHash }] : [];
  });
  if (asked.length === 0) return new Map();
  const hashes = [...new Set(asked.map(({ reuseHash }) => reuseHash))];
  // Any of the equal jobs will do. A job with warnings lacks outputs, perhaps for a passing reason.
  const found = await database.$queryRaw<{ hash: string; id: string }[]>`
    SELECT asked.hash, source.id FROM unnest(${hashes}::text[]) AS asked(hash) CROSS JOIN LATERAL (
      SELECT job.id FROM jobs job
      WHERE job.tenant_id = ${tenantId}::uuid AND job.reuse_hash = decode(asked.hash, 'hex')
        AND job.status = 'completed' AND cardinality(job.warnings) = 0
      LIMIT 1
    ) source`;
  const byHash = new Map(found.map(({ hash, id }) => [hash, id]));
  return new Map(
    asked.flatMap(({ id, reuseHash }) => {
      const source = byHash.get(reuseHash);
      return source === undefined ? [] : [[id, source] as const];
    }),
  );
}

/**
 * Keeps these jobs, and the jobs whose files they share, from being removed until the transaction ends. Comes first in it: a
 * removal locks its jobs before anything else, too, and in the same order.
 * @throws SourceGoneError
 */
export async function lockSources(transaction: Statements, sources: Sources): Promise<void> {
  const ids = [...new Set(sources.values())];
  const locked = await transaction.$queryRaw<{ id: string }[]>(lockStatement(ids));
  const found = new Set(locked.map(({ id }) => id));
  if (ids.some((id) => !found.has(id))) throw new SourceGoneError();
}

export function lockStatement(ids: readonly string[]): Prisma.Sql {
  return Prisma.sql`
    SELECT id FROM jobs
    WHERE id = ANY(${ids}::uuid[])
      OR id = ANY(ARRAY(SELECT needs_id FROM job_inputs WHERE job_id = ANY(${ids}::uuid[]) AND storage_key IS NOT NULL))
    ORDER BY id FOR KEY SHARE`;
}

/**
 * The id of the job that made the outputs of a completed job: its own unless it was answered from another one. Of older
 * versions' jobs only the files say it.
 * @param job the name of a row of `jobs`
 */
export function makerOf(job: "job" | "source"): Prisma.Sql {
  const row = Prisma.raw(job);
  return Prisma.sql`CASE WHEN ${row}.reused_from IS NULL THEN ${row}.id ELSE coalesce(${row}.made_by,
    (SELECT owned.needs_id FROM job_inputs owned WHERE owned.job_id = ${row}.id LIMIT 1)) END`;
}

/**
 * What a statement that inserts jobs adds for those of them that are answered from others, of a CTE `job` with their rows:
 * outputs, which name the same files; the rows that make the jobs owners of these files, too, each naming the job in whose
 * folder the file lies (`owned-files.ts`); and the note by which the end is passed on to jobs of the same batch.
 */
export const reusedRows = Prisma.sql`
  , output AS (
    INSERT INTO outputs (id, job_id, attempt, index, node_id, key, kind, filename, media_type, bytes, sha256, width,
      height, duration_ms, storage_key, text)
    SELECT gen_random_uuid(), job.id, 0, source.index, source.node_id, source.key, source.kind, source.filename,
      source.media_type, source.bytes, source.sha256, source.width, source.height, source.duration_ms, source.storage_key,
      source.text
    FROM job JOIN outputs source ON source.job_id = job.reused_from
    RETURNING job_id, index, storage_key, sha256, media_type, filename, bytes
  ), owned AS (
    INSERT INTO job_inputs (job_id, name, needs_id, output_index, storage_key, sha256, media_type, filename, bytes,
      is_source_removed)
    SELECT output.job_id, 'reused ' || output.index, folder.id, output.index, output.storage_key, output.sha256,
      output.media_type, output.filename, output.bytes, NOT EXISTS (SELECT FROM jobs WHERE jobs.id = folder.id)
    FROM output CROSS JOIN LATERAL (SELECT split_part(output.storage_key, '/', 2)::uuid AS id) folder
    WHERE output.storage_key IS NOT NULL
  ), note AS (
    INSERT INTO ends_to_pass_on (job_id) SELECT id FROM job WHERE reused_from IS NOT NULL AND has_dependents
  )`;
