import { Prisma, type PrismaClient } from "../generated/client.ts";

// Who owns a file that a job stored. Three kinds of rows say so: the output of the job that stored it, which the file's key
// names; and in `job_inputs` the jobs that read it, and those that were answered from a job that owned it. A file gets a new
// owner only while it has one (`reuse-jobs.ts`, `record-files.ts`), so that a file without any never gets one again.

/** Whether a job owns the file. @param key a text; qualified, because `outputs` has a column `key`, too */
export function isOwned(key: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    EXISTS (SELECT FROM job_inputs WHERE storage_key = ${key})
    OR EXISTS (SELECT FROM outputs WHERE storage_key = ${key} AND attempt >= 1))`;
}

/**
 * The files of a removed job that other jobs own: of those that it stored, whoever owns them through however many other jobs,
 * and of all that it had, those which jobs that depended on it read.
 * @param jobId a uuid
 */
export function keptFilesOf(jobId: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`ARRAY(
    SELECT input.storage_key FROM job_inputs input
    WHERE input.needs_id = ${jobId} AND input.storage_key IS NOT NULL
    UNION
    SELECT input.storage_key FROM job_inputs input
    WHERE input.storage_key ~>=~ ('jobs/' || ${jobId}::text || '/') AND input.storage_key ~<~ ('jobs/' || ${jobId}::text || '0'))`;
}

export async function listOwned(database: PrismaClient, storageKeys: string[]): Promise<string[]> {
  if (storageKeys.length === 0) return [];
  const owned = await database.$queryRaw<{ key: string }[]>`
    SELECT asked.key FROM unnest(${storageKeys}::text[]) AS asked(key) WHERE ${isOwned(Prisma.sql`asked.key`)}`;
  return owned.map(({ key }) => key);
}
