import { type NewSubmission } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { assertNeededJobs } from "../dependencies/insert-dependencies.ts";
import { prepareJobs } from "./prepare-jobs.ts";
import { findSources } from "./reuse-jobs.ts";
import { hasRoom, recount, type QueueLimit } from "./queue-room.ts";

/**
 * Refuses what `insertJobs` would refuse at this moment, for the same reasons and in the same order. It locks no job and
 * takes no room.
 * @throws InvalidJobError
 * @throws LimitReachedError
 */
export async function checkJobs(
  database: PrismaClient,
  { tenantId, batch, jobs }: NewSubmission,
  limit: QueueLimit,
): Promise<void> {
  const { prepared } = await prepareJobs(jobs, batch);
  const count = jobs.length - (await findSources(database, tenantId, prepared)).size;
  const [known] = await database.$queryRaw<{ hasRoom: boolean }[]>`
    SELECT ${hasRoom(tenantId, count, limit)} AS "hasRoom"`;
  if (count > 0 && known?.hasRoom !== true) await recount(database, tenantId, count, limit);
  await assertNeededJobs(database, tenantId, prepared);
}
