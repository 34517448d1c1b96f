import { type SweeperWork } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { isDue, isReadyNow } from "../announcing/list-unannounced.ts";

/**
 * Looks for each kind of work over the index that its step reads, for one row. The orders are those of the indexes: without
 * them PostgreSQL may read whole tables where it expects to meet a row soon.
 */
export async function findSweeperWork(database: PrismaClient, graceMs: number): Promise<SweeperWork> {
  const [found] = await database.$queryRaw<SweeperWork[]>(sweeperWorkStatement(graceMs));
  if (found === undefined) throw new Error("A statement without conditions gave no row.");
  return found;
}

/** Exported for the test of its plan. */
export function sweeperWorkStatement(graceMs: number): Prisma.Sql {
  return Prisma.sql`
    SELECT ${isThere(anyAbandoned(graceMs))} AS "hasAbandoned",
      ${isThere(Prisma.sql`
        SELECT id FROM jobs WHERE status = 'queued' AND expires_at <= now() ORDER BY expires_at LIMIT 1`)} AS "hasExpired",
      ${isThere(Prisma.sql`SELECT job_id FROM ends_to_pass_on ORDER BY ended_at LIMIT 1`)} AS "hasEnds",
      EXISTS (SELECT FROM lanes WHERE is_guessed) AS "hasGuessedLanes",
      ${isThere(Prisma.sql`
        SELECT job.id FROM jobs job WHERE ${isReadyNow} ORDER BY job.tenant_id, job.lane LIMIT 1`)}
        OR ${isThere(Prisma.sql`
        SELECT job.id FROM jobs job WHERE ${isDue} ORDER BY job.tenant_id LIMIT 1`)} AS "hasReady",
      EXISTS (SELECT FROM lane_clocks WHERE repricing_after IS NOT NULL AND repricing_at <= now()) AS "hasRepricing"`;
}

const isThere = (row: Prisma.Sql): Prisma.Sql => Prisma.sql`(${row}) IS NOT NULL`;

/** Few jobs run at once, so all of them may be read. */
const anyAbandoned = (graceMs: number): Prisma.Sql => Prisma.sql`
        SELECT min(job.server_id::text) FROM (${abandonedJobs(graceMs)}) job`;

/**
 * Jobs that no worker watches: their leases have been expired for so long, and their servers have had no owners for as long, or
 * were handed back and not taken. A lease of a server that ran out only now is renewed, or taken over, in a moment.
 */
export const abandonedJobs = (graceMs: number): Prisma.Sql => Prisma.sql`
    SELECT job.* FROM jobs job JOIN servers server ON server.id = job.server_id
    WHERE job.status = 'processing' AND job.lease_expires_at <= now() - ${graceMs}::float8 * interval '1 millisecond'
      AND (server.lease_expires_at IS NULL
        OR server.lease_expires_at <= now() - ${graceMs}::float8 * interval '1 millisecond')`;
