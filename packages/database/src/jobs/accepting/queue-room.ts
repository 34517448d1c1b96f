import { LimitReachedError } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";

/** How many jobs a tenant may have queued, unless `tenant_limits` says otherwise; `null` = any number. */
export interface QueueLimit {
  jobsQueuedMax: number | null;
}

const intMax = 2 ** 31 - 1;

/** A count reads as many rows as the limit allows, so one of a large limit is not repeated at once: 1 s at most. */
const countedRowsPerMs = 100;
const recountMaxMs = 1_000;

/** The limit of one tenant, as a scalar. */
function limitOf(tenantId: string, { jobsQueuedMax }: QueueLimit): Prisma.Sql {
  return Prisma.sql`coalesce(
    (SELECT own.jobs_queued_max FROM tenant_limits own WHERE own.tenant_id = ${tenantId}::uuid),
    ${jobsQueuedMax ?? intMax}::int)`;
}

/** True where the tenant can have `count` more, as far as is known without counting. */
export function hasRoom(tenantId: string, count: number, limit: QueueLimit): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT FROM tenant_usage usage WHERE usage.tenant_id = ${tenantId}::uuid
      AND usage.queued_bound::bigint + ${count}::int <= ${limitOf(tenantId, limit)})`;
}

/**
 * Takes room for `count` more queued jobs of the tenant: a row comes back if there was room, and none otherwise.
 *
 * The tenant's row stays locked until the transaction ends, so that acceptances of one tenant are counted one after the
 * other, in whatever process, and those of different tenants never wait for each other. Whoever takes room in a
 * statement takes it before anything that others may hold; a transaction of several statements takes it last.
 */
export function takeRoom(tenantId: string, count: number, limit: QueueLimit): Prisma.Sql {
  return Prisma.sql`
    UPDATE tenant_usage usage SET queued_bound = queued_bound + ${count}::int
    WHERE usage.tenant_id = ${tenantId}::uuid
      AND usage.queued_bound::bigint + ${count}::int <= ${limitOf(tenantId, limit)}
    RETURNING usage.tenant_id`;
}

/**
 * Counts the tenant's queued jobs, after which its bound is exact: for whoever found no room. Claims, ends and
 * cancellations do not lower the bound, so it says too much until then.
 *
 * The count is a statement of its own after the lock: it sees every acceptance that was counted in the bound.
 * @throws LimitReachedError when there is no room for `count` more
 */
export async function recount(
  database: PrismaClient,
  tenantId: string,
  count: number,
  limit: QueueLimit,
): Promise<void> {
  await database.$executeRaw`
    INSERT INTO tenant_usage (tenant_id) VALUES (${tenantId}::uuid) ON CONFLICT (tenant_id) DO NOTHING`;
  const { used, max } = await database.$transaction(async (transaction) => {
    const [known] = await transaction.$queryRaw<{ used: number; max: number; isFresh: boolean }[]>`
      SELECT queued_bound AS used, ${limitOf(tenantId, limit)} AS max,
        coalesce(counted_at > clock_timestamp() - interval '1 millisecond' *
          least(${limitOf(tenantId, limit)} / ${countedRowsPerMs}::int, ${recountMaxMs}::int), false) AS "isFresh"
      FROM tenant_usage WHERE tenant_id = ${tenantId}::uuid FOR NO KEY UPDATE`;
    if (known === undefined) throw new Error(`The tenant ${tenantId} has no row of its usage.`);
    if (known.isFresh) return known;
    const [counted] = await transaction.$queryRaw<{ used: number }[]>`
      UPDATE tenant_usage SET counted_at = clock_timestamp(),
        queued_bound = (SELECT count(*) FROM jobs WHERE tenant_id = ${tenantId}::uuid AND status = 'queued')
      WHERE tenant_id = ${tenantId}::uuid
      RETURNING queued_bound AS used`;
    return { ...known, ...counted };
  });
  if (used + count > max) throw new LimitReachedError({ limit: "jobs-queued", max, used, wanted: count });
}
