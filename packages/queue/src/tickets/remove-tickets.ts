import { type Redis } from "ioredis";
import { type BullLane } from "./bull-lane.ts";

/**
 * Removes tickets that wait by priority or for their time, or that have finished, as BullMQ's own script would: from their
 * set, with hash and log. Answers the ids that it left alone: held by somebody, or in another state. BullMQ's stream of
 * events names tickets too, and why they failed; nobody reads it here, and it is emptied.
 */
const script = `
  local left = {}
  for _, id in ipairs(ARGV) do
    local key = KEYS[1] .. id
    if redis.call("EXISTS", key) == 1 then
      local removed = 0
      if redis.call("EXISTS", key .. ":lock") == 0 then
        for set = 3, #KEYS do removed = removed + redis.call("ZREM", KEYS[set], id) end
      end
      if removed > 0 then
        redis.call("DEL", key, key .. ":logs")
      else
        left[#left + 1] = id
      end
    end
  end
  redis.call("XTRIM", KEYS[2], "MAXLEN", 0)
  return left`;

/**
 * Most tickets of a cancelled batch wait by priority, and those of removed jobs have finished: they go a thousand at a
 * time. BullMQ takes one at a time and needs seconds for ten thousand; it is asked about the rest.
 */
export async function removeTickets(lane: BullLane, redis: Redis, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  const { events, prioritized, delayed, completed, failed } = lane.queue.keys;
  const keys = [lane.ticketKey(""), ...[events, prioritized, delayed, completed, failed].map(String)];
  const left = await redis.eval(script, keys.length, ...keys, ...ids);
  if (!Array.isArray(left)) throw new Error("Redis did not say which tickets it left alone.");
  await Promise.all(left.map((id) => lane.queue.remove(String(id))));
}
