import { type Actor, type BatchRemoval } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { type PrismaClient } from "../generated/client.ts";
import { type PassOn, removeEnded } from "./remove-jobs.ts";

/** Removing so many jobs takes less than a second, and their rows are locked no longer. */
const jobsAtOnce = 500;

/**
 * Removes a part of an ended batch. Jobs that another transaction has locked are left for the next call; the batch itself
 * goes with its last job.
 * @param by absent after the first part, since a removal is recorded once
 */
export async function removeBatchPart(
  database: PrismaClient,
  batchId: string,
  passOn: PassOn,
  by: Actor | undefined,
): Promise<BatchRemoval> {
  if (!isUuid(batchId)) return { removed: [], left: "none" };
  const [active] = await database.$queryRaw<unknown[]>`
    SELECT FROM jobs WHERE batch_id = ${batchId}::uuid AND finished_at IS NULL LIMIT 1`;
  if (active !== undefined) return { removed: [], left: "active" };
  const jobs = await database.$queryRaw<{ id: string; tenantId: string }[]>`
    SELECT id, tenant_id AS "tenantId" FROM jobs WHERE batch_id = ${batchId}::uuid
    ORDER BY batch_index LIMIT ${jobsAtOnce}::int`;
  const [first] = jobs;
  if (first === undefined) return { removed: [], left: "none" };
  const ids = jobs.map(({ id }) => id);
  await passOn(database, ids);
  const record = by && { by, action: "batch-removed", tenantId: first.tenantId };
  return { removed: await removeEnded(database, ids, record), left: "ended" };
}
