import { type HeldTicket, type JobRuns, type LeasedJob, type TicketQueue } from "@genga/jobs";
import { type Logger } from "@genga/runtime";

/**
 * Hands a job that was just claimed back unstarted. Lease and ticket each for itself: a ticket that is not given back would
 * be held, and renewed, for ever.
 */
export async function giveUp(
  leased: LeasedJob,
  ticket: HeldTicket | null,
  { runs, tickets, log }: { runs: Pick<JobRuns, "releaseLeases">; tickets: TicketQueue; log: Logger },
): Promise<void> {
  const results = await Promise.allSettled([
    runs.releaseLeases([leased]),
    ticket === null ? null : tickets.giveBack(ticket, { delayMs: 1_000 }),
  ]);
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    const err: unknown = result.reason;
    log.warn({ err, jobId: leased.jobId }, "a lease or a ticket could not be handed back and runs out");
  }
}
