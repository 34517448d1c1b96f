import { type Job, type JobEvent } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { clearedFailure, endedWaiting } from "../cleared-columns.ts";
import { waitsOnServer } from "../waits-on-server.ts";
import { changeHeld, isMeant, type Meant } from "./change-held.ts";

/** Cancels those of the jobs that are queued. What depends on them is the caller's part. */
export function cancelQueued(
  database: PrismaClient,
  of: Meant,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent; hasDependents: boolean }[]> {
  return changeHeld(database, {
    held: Prisma.sql`${isMeant(of)} AND status = 'queued'`,
    assignments: Prisma.sql`status = 'cancelled', cancel_requested_at = now(), ${endedWaiting}, ${clearedFailure}`,
    ...{ event: "cancelled", by },
  });
}

/**
 * Records the cancel request on those of the jobs that are processing, once.
 * @param options.onlyWaiting on those only that wait on their server
 */
export function noteRequests(
  database: PrismaClient,
  of: Meant,
  by: string | undefined,
  { onlyWaiting = false } = {},
): Promise<{ job: Job; event: JobEvent }[]> {
  const waits = onlyWaiting ? waitsOnServer : Prisma.sql`true`;
  return changeHeld(database, {
    held: Prisma.sql`${isMeant(of)} AND status = 'processing' AND cancel_requested_at IS NULL AND ${waits}`,
    assignments: Prisma.sql`cancel_requested_at = now()`,
    ...{ event: "cancel_requested", by },
  });
}
