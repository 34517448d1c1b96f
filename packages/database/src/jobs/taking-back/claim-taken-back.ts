import { type Claim, type LeasedJob } from "@genga/jobs";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { Prisma } from "../../generated/client.ts";
import { claimJobs, type ClaimKind } from "../running/claim-jobs.ts";
import { type RunningLimit } from "../running/running-limit.ts";

/** As `isReadyById`, for the one server that may claim the job before its `run_at`, without a ticket. */
const isTakenBack = Prisma.sql`
  job.status::text = 'queued' AND job.paused_at IS NULL AND job.open_dependencies = 0 AND job.take_back_for = ticket."serverId"
  AND (job.expires_at IS NULL OR job.expires_at > now())`;

const takenBackJobs: ClaimKind = { name: "claim-taken-back", isClaimable: isTakenBack };

/** Claims jobs whose prompts were taken back for the servers of these claims. */
export async function claimTakenBack(
  statements: PlainStatements,
  claims: Claim[],
  leaseMs: number,
  running: RunningLimit,
): Promise<LeasedJob[]> {
  const counted = claims.map((claim) => ({ ...claim, isLimited: true }));
  return await claimJobs(statements, counted, leaseMs, running, takenBackJobs);
}
