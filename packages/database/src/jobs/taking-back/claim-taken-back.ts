import { type Claim, type LeasedJob } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { claimJobs } from "../running/claim-jobs.ts";
import { type RunningLimit } from "../running/running-limit.ts";

/** As `isReady`, for the one server that may claim the job before its `run_at`, without a ticket. */
const isTakenBack = Prisma.sql`
  job.status = 'queued' AND job.paused_at IS NULL AND job.open_dependencies = 0 AND job.take_back_for = ticket."serverId"
  AND (job.expires_at IS NULL OR job.expires_at > now())`;

/** Claims jobs whose prompts were taken back for the servers of these claims. */
export async function claimTakenBack(
  database: PrismaClient,
  claims: Claim[],
  leaseMs: number,
  running: RunningLimit,
): Promise<LeasedJob[]> {
  const counted = claims.map((claim) => ({ ...claim, isLimited: true }));
  return await claimJobs(database, counted, leaseMs, running, isTakenBack);
}
