import { ticketId, type TicketReference } from "@genga/jobs";
import { type Redis } from "ioredis";
import { type BullLane } from "../lanes/bull-lane.ts";

/** The state of each of these tickets, in their order; a live one waits, is delayed, or is held by a process. */
export function findTickets(
  lane: BullLane,
  redis: Redis,
  tickets: TicketReference[],
): Promise<("missing" | "finished" | "live")[]> {
  return Promise.all(
    tickets.map(async (ticket) => {
      const key = lane.ticketKey(ticketId(ticket));
      const [addedOn, finishedOn] = await redis.hmget(key, "timestamp", "finishedOn");
      if (addedOn === null || addedOn === undefined) return "missing";
      return finishedOn === null || finishedOn === undefined ? "live" : "finished";
    }),
  );
}

/** BullMQ would treat a finished ticket with the same id as a duplicate and add nothing. */
export async function removeFinished(
  lane: BullLane,
  redis: Redis,
  tickets: TicketReference[],
): Promise<void> {
  const states = await findTickets(lane, redis, tickets);
  const finished = tickets.filter((_, index) => states[index] === "finished");
  await Promise.all(finished.map((ticket) => lane.queue.remove(ticketId(ticket))));
}
