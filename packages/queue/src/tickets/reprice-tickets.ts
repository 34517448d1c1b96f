import { ticketId, ticketPriority, type Announcement } from "@genga/jobs";
import { type Redis } from "ioredis";
import { type BullLane } from "../lanes/bull-lane.ts";
import { RedisScript } from "../redis/run-script.ts";

/**
 * Gives tickets other priorities in the way of BullMQ's own script `changePriority`: a ticket that waits by priority
 * gets a new score, which is its priority and then a counter; of any other only the hash changes, from which BullMQ
 * takes the priority when the ticket waits again.
 */
const script = new RedisScript(`
  for at = 1, #ARGV, 2 do
    local id, priority = ARGV[at], tonumber(ARGV[at + 1])
    local key = KEYS[1] .. id
    if redis.call("EXISTS", key) == 1 then
      redis.call("HSET", key, "priority", priority)
      if redis.call("ZSCORE", KEYS[2], id) then
        local counter = redis.call("INCR", KEYS[3])
        redis.call("ZADD", KEYS[2], priority * 0x100000000 + counter % 0x100000000, id)
      end
    end
  end`);

/** The script takes the tickets in their order; a thousand take a few milliseconds. */
export async function repriceTickets(
  lane: BullLane,
  redis: Redis,
  announcements: Announcement[],
): Promise<void> {
  if (announcements.length === 0) return;
  const { prioritized, pc } = lane.queue.keys;
  const values = announcements.flatMap((announcement) => {
    const { priority, rank, agedBands } = announcement;
    return [ticketId(announcement), ticketPriority(priority, rank, agedBands)];
  });
  await script.run(redis, [lane.ticketKey(""), String(prioritized), String(pc)], values);
}
