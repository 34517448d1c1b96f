import { type Redis } from "ioredis";
import { type BullLane } from "../lanes/bull-lane.ts";

/**
 * Removes tickets that wait by priority, are delayed, or have finished, in the way of BullMQ's own script: from their
 * set, with hash and log. Returns the ids that it did not remove, because a process holds them or they are in another
 * state. It also empties BullMQ's stream of events, which names tickets and the reasons of their failures, and which
 * Genga does not read.
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
 * Most tickets of a cancelled batch wait by priority, and those of removed jobs have finished: the script removes a
 * thousand at a time. BullMQ's own call removes one at a time, takes seconds for ten thousand, and is used only for the
 * rest.
 */
export async function removeTickets(lane: BullLane, redis: Redis, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  const { events, prioritized, delayed, completed, failed } = lane.queue.keys;
  const keys = [lane.ticketKey(""), ...[events, prioritized, delayed, completed, failed].map(String)];
  const left = await redis.eval(script, keys.length, ...keys, ...ids);
  if (!Array.isArray(left)) throw new Error("Redis did not return the tickets that it could not remove.");
  await Promise.all(left.map((id) => lane.queue.remove(String(id))));
}
