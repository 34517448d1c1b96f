import { type RemovedJob } from "../ports/keeping-store.ts";
import { type OutputStorage } from "../ports/output-storage.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";

/**
 * What a removal leaves to be done once its rows are gone: tickets of every attempt, so that Bull Board forgets the job too,
 * and all files below the job's folder, named by a row or not. To do it again does no harm.
 * @throws TicketsUnavailableError @throws StorageError
 */
export async function finishRemoval(
  removed: readonly RemovedJob[],
  { tickets, storage }: { tickets: Pick<TicketQueue, "remove">; storage: Pick<OutputStorage, "removeJobs"> },
): Promise<void> {
  await storage.removeJobs(removed.map(({ id }) => id));
  await tickets.remove(removed.flatMap(ticketsOf));
}

/** Right after the removal. What cannot be removed now, since Redis or the storage is away, is noted and removed later. */
export async function tryToFinishRemoval(
  removed: RemovedJob,
  options: Parameters<typeof finishRemoval>[1] & {
    logger: { warn(details: object, message: string): void };
  },
): Promise<void> {
  try {
    await finishRemoval([removed], options);
  } catch (error) {
    const message = "tickets or files of a removed job are removed later";
    options.logger.warn({ err: error, jobId: removed.id }, message);
  }
}

function ticketsOf({ id, lane, attempt }: RemovedJob): { jobId: string; attempt: number; lane: string }[] {
  return Array.from({ length: attempt + 1 }, (_, index) => ({ jobId: id, attempt: index + 1, lane }));
}
