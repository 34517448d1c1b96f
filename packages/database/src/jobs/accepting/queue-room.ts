import { LimitReachedError } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";

/** How many queued jobs a tenant may have, unless `tenant_limits` says otherwise; `null` = no limit. */
export interface QueueLimit {
  jobsQueuedMax: number | null;
}

const intMax = 2 ** 31 - 1;

/**
 * Counting reads as many rows as the limit allows. So a count for a large limit is repeated only after a pause, of 1 s
 * at most.
 */
const countedRowsPerMs = 100;
const recountMaxMs = 1_000;

/** The limit of one tenant, as a scalar expression. */
function limitOf(tenantId: string, { jobsQueuedMax }: QueueLimit): Prisma.Sql {
  return Prisma.sql`coalesce(
    (SELECT own.jobs_queued_max FROM tenant_limits own WHERE own.tenant_id = ${tenantId}::uuid),
    ${jobsQueuedMax ?? intMax}::int)`;
}

/** Whether the tenant may have `count` more queued jobs, as far as is known without counting. */
export function hasRoom(tenantId: string, count: number, limit: QueueLimit): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT FROM tenant_usage usage WHERE usage.tenant_id = ${tenantId}::uuid
      AND usage.queued_bound::bigint + ${count}::int <= ${limitOf(tenantId, limit)})`;
}

/**
 * Takes room for `count` more queued jobs of the tenant. Returns a row if there is room, and none otherwise.
 *
 * The tenant's row stays locked until the transaction ends. Submissions of one tenant, in all processes, are therefore
 * counted one after the other; those of different tenants never wait for each other. A single statement takes room
 * before any other lock; a transaction of several statements takes it last.
 */
export function takeRoom(tenantId: string, count: number, limit: QueueLimit): Prisma.Sql {
  return Prisma.sql`
    UPDATE tenant_usage usage SET queued_bound = queued_bound + ${count}::int
    WHERE usage.tenant_id = ${tenantId}::uuid
      AND usage.queued_bound::bigint + ${count}::int <= ${limitOf(tenantId, limit)}
    RETURNING usage.tenant_id`;
}

/**
 * Counts the tenant's queued jobs and thereby makes the stored upper bound exact. Called when no room was found,
 * because claims, ends and cancellations do not lower the bound.
 *
 * The count is a statement of its own after the lock, so that it sees every submission that the bound includes.
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
    if (known === undefined) throw new Error(`The tenant ${tenantId} has no row in the table of usage.`);
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
