import { type RemovedJob } from "./keeping-store.ts";
import { type OutputStorage } from "./output-storage.ts";
import { type TicketQueue } from "./ticket-queue.ts";

/**
 * What a removal leaves to be done once its rows are gone: tickets of every attempt, so that Bull Board forgets the job too,
 * and all files below the job's folder, named by a row or not. To do it again does no harm.
 * @throws TicketsUnavailableError @throws StorageError
 */
export async function finishRemoval(
  removed: readonly RemovedJob[],
  {
    tickets,
    storage,
  }: { tickets: Pick<TicketQueue, "remove">; storage: Pick<OutputStorage, "removeLeftovers"> },
): Promise<void> {
  for (const { id } of removed) {
    await storage.removeLeftovers({ jobId: id, leaseNumber: Number.MAX_SAFE_INTEGER, keep: [] });
  }
  await tickets.remove(removed.flatMap(ticketsOf));
}

function ticketsOf({ id, lane, attempt }: RemovedJob): { jobId: string; attempt: number; lane: string }[] {
  return Array.from({ length: attempt + 1 }, (_, index) => ({ jobId: id, attempt: index + 1, lane }));
}
