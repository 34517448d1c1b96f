import { type RemovedJob } from "../ports/keeping-store.ts";
import { type OutputStorage } from "../ports/output-storage.ts";
import { type TicketReference } from "../ports/job-announcer.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";

/**
 * Finishes a removal after its rows are gone: removes the tickets of its last attempts, so that Bull Board does not show
 * the job any more, and all files in the job's folder but for those that other jobs read. It may be repeated.
 * @throws TicketsUnavailableError
 * @throws StorageError
 */
export async function finishRemoval(
  removed: readonly RemovedJob[],
  {
    tickets,
    storage,
  }: {
    tickets: Pick<TicketQueue, "remove">;
    storage: Pick<OutputStorage, "removeJobs" | "removeLeftovers">;
  },
): Promise<void> {
  const whole = removed.filter(({ keptFiles }) => keptFiles.length === 0);
  await storage.removeJobs(whole.map(({ id }) => id));
  for (const { id, keptFiles } of removed) {
    if (keptFiles.length === 0) continue;
    const allLeases = Number.MAX_SAFE_INTEGER;
    await storage.removeLeftovers({ jobId: id, leaseNumber: allLeases, keep: keptFiles });
  }
  await tickets.remove(removed.flatMap(ticketsOf));
}

/**
 * Finishes a removal at once if possible. If Redis or the storage is unavailable, the keeper finishes it later, from
 * the record that the removal's transaction wrote.
 */
export async function tryToFinishRemoval(
  removed: RemovedJob,
  options: Parameters<typeof finishRemoval>[1] & {
    logger: { warn(details: object, message: string): void };
  },
): Promise<void> {
  try {
    await finishRemoval([removed], options);
  } catch (error) {
    const message = "tickets or files of a removed job could not be removed yet; they are removed later";
    options.logger.warn({ err: error, jobId: removed.id }, message);
  }
}

/** Of a job with more attempts or ticket numbers the last ones. What its earlier tickets left on Bull Board goes with time. */
const lastMax = 8;

/**
 * The tickets that the job may have had lately: a ticket has no record of its own, and each attempt began at an unknown
 * number.
 */
function ticketsOf({ id, lane, attempt, ticketNumber }: RemovedJob): (TicketReference & { lane: string })[] {
  return last(attempt + 1, 1).flatMap((ofAttempt) =>
    last(ticketNumber, 0).map((number) => ({ jobId: id, attempt: ofAttempt, ticketNumber: number, lane })),
  );
}

/** `highest` and the numbers before it, down to `lowest`. */
function last(highest: number, lowest: number): number[] {
  return Array.from({ length: Math.min(highest - lowest + 1, lastMax) }, (_, back) => highest - back);
}
