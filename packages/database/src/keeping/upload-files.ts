import { Prisma, type PrismaClient } from "../generated/client.ts";
import { isOwned } from "./owned-files.ts";

/** Shorter than the time after which PostgreSQL ends an idle transaction. */
const transactionLimits = { timeout: 9_000, maxWait: 5_000 };

/**
 * The keys stay locked until their files are removed and the transaction has ended. Meanwhile an upload of the same
 * content waits (`keepFile`), and then writes the file again. A key whose content has a row again, or which another job
 * reads, is forgotten, and its file stays.
 */
export async function removeUploadFiles(
  database: PrismaClient,
  limit: number,
  remove: (storageKeys: string[]) => Promise<void>,
): Promise<number> {
  return await database.$transaction(async (transaction) => {
    const due = await transaction.$queryRaw<{ key: string }[]>`
      SELECT storage_key AS key FROM files_to_remove
      WHERE due_at <= now() ORDER BY due_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED`;
    if (due.length === 0) return 0;
    const keys = due.map(({ key }) => key);
    const named = await transaction.$queryRaw<{ key: string }[]>`
      SELECT due.key FROM unnest(${keys}::text[]) AS due(key)
      WHERE EXISTS (SELECT FROM uploads WHERE sha256 = substring(due.key FROM '^uploads/../([0-9a-f]{64})'))
        OR ${isOwned(Prisma.sql`due.key`)}`;
    const isNamed = new Set(named.map(({ key }) => key));
    const unused = keys.filter((key) => !isNamed.has(key));
    if (unused.length > 0) await remove(unused);
    await transaction.$executeRaw`DELETE FROM files_to_remove WHERE storage_key = ANY(${keys}::text[])`;
    return unused.length;
  }, transactionLimits);
}
