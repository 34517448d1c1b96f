import { type KeeperWork } from "@genga/jobs";
import { type PrismaClient } from "../generated/client.ts";

/** Looks for each kind of work over the index that its step reads, for one row. */
export async function findKeeperWork(database: PrismaClient): Promise<KeeperWork> {
  const [found] = await database.$queryRaw<KeeperWork[]>`
    SELECT (SELECT id FROM queued_job_changes ORDER BY id LIMIT 1) IS NOT NULL
        OR (SELECT id FROM ended_job_changes ORDER BY id LIMIT 1) IS NOT NULL AS "hasCounts",
      (SELECT id FROM unsequenced_events ORDER BY id LIMIT 1) IS NOT NULL AS "hasEvents",
      (SELECT due_at FROM pending_removals WHERE due_at <= now() ORDER BY due_at LIMIT 1) IS NOT NULL AS "hasRemovals"`;
  if (found === undefined) throw new Error("A statement without conditions gave no row.");
  return found;
}
