import { Prisma, type PrismaClient } from "../../generated/client.ts";

/** How many running jobs a tenant may have, unless `tenant_limits` says otherwise; `null` = no limit. */
export interface RunningLimit {
  jobsRunningMax: number | null;
}

/** The limit of the tenant in `tenantId` (a column or a value); NULL = no limit. */
function runningMaxOf(tenantId: Prisma.Sql, { jobsRunningMax }: RunningLimit): Prisma.Sql {
  return Prisma.sql`coalesce(
    (SELECT own.jobs_running_max FROM tenant_limits own WHERE own.tenant_id = ${tenantId}), ${jobsRunningMax}::int)`;
}

/** How many jobs of the tenant are running. Counting them is cheap, since servers have few slots. */
function runningOf(tenantId: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    SELECT count(*)::int FROM jobs running WHERE running.status = 'processing' AND running.tenant_id = ${tenantId})`;
}

/** How many more jobs of the tenant may be claimed; NULL = no limit. */
export function runningRoomOf(tenantId: Prisma.Sql, limit: RunningLimit): Prisma.Sql {
  const max = runningMaxOf(tenantId, limit);
  return Prisma.sql`CASE WHEN ${max} IS NOT NULL THEN greatest(${max} - ${runningOf(tenantId)}, 0) END`;
}

export async function findRunning(
  database: PrismaClient,
  tenantId: string,
  limit: RunningLimit,
): Promise<{ running: number; max: number | null }> {
  const tenant = Prisma.sql`${tenantId}::uuid`;
  const [found] = await database.$queryRaw<{ running: number; max: number | null }[]>`
    SELECT ${runningOf(tenant)} AS running, ${runningMaxOf(tenant, limit)} AS max`;
  return found ?? { running: 0, max: null };
}
