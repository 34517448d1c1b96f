import { type HeldTicket, readTicketPriority, type TicketQueue } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type PlannedTake } from "./slot-plan.ts";

/**
 * Takes tickets from one lane, one for each of these takes. A server leaves its model for an urgent ticket. If another process was
 * faster, and the ticket that was taken is not urgent, it goes back and the server stays.
 *
 * While Redis is away, a ticket cannot be given back; it waits again when its lock has run out. The others are returned all the same:
 * their locks are renewed until the caller has done something with them.
 * @throws TicketsUnavailableError no ticket was taken
 */
export async function takeTickets(
  lane: string,
  takes: readonly Pick<PlannedTake, "reason" | "keptBand">[],
  {
    tickets,
    log,
  }: { tickets: Pick<TicketQueue, "take" | "priorityOf" | "giveBack">; log: Pick<Logger, "warn"> },
): Promise<HeldTicket[]> {
  const taken = await tickets.take(lane, takes.length);
  const kept: HeldTicket[] = [];
  for (const [index, ticket] of taken.entries()) {
    if (isWanted(takes[index], tickets.priorityOf(ticket))) {
      kept.push(ticket);
      continue;
    }
    try {
      await tickets.giveBack(ticket, { delayMs: 0 });
    } catch (err) {
      log.warn({ err, lane, jobId: ticket.jobId }, "a ticket could not be given back, and its lock runs out");
    }
  }
  return kept;
}

function isWanted(
  take: Pick<PlannedTake, "reason" | "keptBand"> | undefined,
  priority: number | null,
): boolean {
  if (take?.reason !== "urgent" || take.keptBand === null || priority === null) return true;
  return readTicketPriority(priority).ownBand < take.keptBand;
}
