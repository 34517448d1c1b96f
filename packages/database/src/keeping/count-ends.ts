import { type EndCounts } from "@genga/jobs";
import { NIL } from "uuid";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/** Under this id the ends of all tenants are counted together. */
export const allTenantsId = NIL;

/**
 * How many jobs ended since then, by the time of their end. It reads a row for each minute and status, whatever the number of
 * jobs, and what the keeper has not added up yet.
 * @param tenantId absent = all tenants together
 */
export async function countEnds(
  database: PrismaClient,
  since: Date,
  stepMs: number,
  tenantId?: string,
): Promise<EndCounts[]> {
  return await database.$queryRaw<EndCounts[]>(endsStatement(since, stepMs, tenantId));
}

/** Exported for the test of its plan. */
export function endsStatement(since: Date, stepMs: number, tenantId?: string): Prisma.Sql {
  const counted = (status: string): Prisma.Sql =>
    Prisma.sql`coalesce(sum(jobs) FILTER (WHERE status = ${status}::text::job_status), 0)::int`;
  const ofTenant = tenantId === undefined ? Prisma.empty : Prisma.sql`AND tenant_id = ${tenantId}::uuid`;
  return Prisma.sql`
    SELECT date_bin(${stepMs}::float8 * interval '1 millisecond', minute, ${since}::timestamptz) AS at,
      ${counted("completed")} AS completed, ${counted("failed")} AS failed, ${counted("timeout")} AS timeout,
      ${counted("cancelled")} AS cancelled
    FROM (
      SELECT minute, status, jobs FROM ended_job_minutes
      WHERE tenant_id = ${tenantId ?? allTenantsId}::uuid AND minute >= ${since}::timestamptz
      UNION ALL
      SELECT date_trunc('minute', ended_at), status, jobs FROM ended_job_changes
      WHERE jobs > 0 AND date_trunc('minute', ended_at) >= ${since}::timestamptz ${ofTenant}
    ) AS ends
    GROUP BY 1 ORDER BY 1`;
}

/** Removes what is older. */
export async function forgetEndCounts(database: PrismaClient, ageMs: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM ended_job_minutes WHERE minute < now() - ${ageMs}::float8 * interval '1 millisecond'`;
}
