import { type Redis } from "ioredis";
import { type BullLane } from "./bull-lane.ts";

/**
 * Removes tickets that wait by priority or for their time, as BullMQ's own script would: from their set, with hash and
 * log. Answers the ids that it left alone: held by somebody, in another state, or not there.
 */
const script = `
  local left = {}
  for _, id in ipairs(ARGV) do
    local key = KEYS[3] .. id
    local isWaiting = redis.call("EXISTS", key .. ":lock") == 0
      and redis.call("ZREM", KEYS[1], id) + redis.call("ZREM", KEYS[2], id) > 0
    if isWaiting then
      redis.call("DEL", key, key .. ":logs")
    else
      left[#left + 1] = id
    end
  end
  return left`;

/**
 * Most tickets of a cancelled batch wait by priority: those go a thousand at a time. BullMQ takes one at a time and needs
 * seconds for ten thousand; it is asked about the rest.
 */
export async function removeTickets(lane: BullLane, redis: Redis, ids: string[]): Promise<void> {
  if (ids.length === 0) return;
  const { prioritized, delayed } = lane.queue.keys;
  const keys = [String(prioritized), String(delayed), lane.ticketKey("")];
  const left = await redis.eval(script, keys.length, ...keys, ...ids);
  if (!Array.isArray(left)) throw new Error("Redis did not say which tickets it left alone.");
  await Promise.all(left.map((id) => lane.queue.remove(String(id))));
}
