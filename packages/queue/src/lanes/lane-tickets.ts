import { bandPriorities, defaultLane, jobPriorities } from "@genga/jobs";
import { type Redis } from "ioredis";
import { z } from "zod";
import { RedisScript } from "../redis/run-script.ts";

/** The state of one lane, at one moment. */
export interface LaneTickets {
  lane: string;
  /** Tickets that can be taken now, delayed ones that are due included. */
  waiting: number;
  /** How many of them are in the band of the first one. */
  waitingInBand: number;
  /** Since when tickets have waited in it without a break, by the clock of Redis, to a second. */
  waitingSince: number;
  /** The ticket priority of the ticket that would be taken first; `null` if there is none. */
  headPriority: number | null;
  /** When the next delayed ticket is due, by the clock of the process that delayed it. */
  nextDueAt: number | null;
  /** Tickets that processes hold. */
  held: number;
  /** A ticket is due later than any legitimate delay allows. */
  isDelayedTooLong: boolean;
}

export interface AllLaneTickets {
  /** When Redis read the states, in milliseconds by its own clock. */
  readAt: number;
  states: LaneTickets[];
}

/** The longest delay of a ticket. */
export const delayMaxMs = 60_000;
/** Genga does not read BullMQ's streams of events. Redis trims them to whole nodes of about a hundred events. */
const eventsKept = 10;

/**
 * Lua that reads the state of a lane from BullMQ's keys. BullMQ hands out tickets in this order: the last one of `wait`
 * (tickets of dead holders), then the lowest score of `prioritized`, into which it moves delayed tickets that are due.
 * A score of `prioritized` is the ticket's priority × 2^32 + a counter; one of `delayed` is the time when the ticket is
 * due × 4096 + a counter.
 */
const stateFunction = `
  local bandWidth = ${bandPriorities(0).last}
  local time = redis.call("TIME")
  local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local function stateOf(prefix, lane, callerNowMs)
    local base = prefix .. ":" .. lane .. ":"
    local function priorityOf(id) return tonumber(redis.call("HGET", base .. id, "priority") or 0) end
    local returned = redis.call("LLEN", base .. "wait")
    local waiting = returned + redis.call("ZCARD", base .. "prioritized")
    local head, nextDue, isTooLong = -1, -1, 0
    local inBand = 0
    if returned > 0 then
      head = priorityOf(redis.call("LINDEX", base .. "wait", -1))
    elseif waiting > 0 then
      head = math.floor(redis.call("ZRANGE", base .. "prioritized", 0, 0, "WITHSCORES")[2] / 4294967296)
    end
    local first = redis.call("ZRANGE", base .. "delayed", 0, 0, "WITHSCORES")
    if first[2] then
      local dueAt = math.floor(first[2] / 4096)
      if dueAt > callerNowMs then
        nextDue = dueAt
      else
        inBand = redis.call("ZCOUNT", base .. "delayed", "-inf", (callerNowMs + 1) * 4096 - 1)
        waiting = waiting + inBand
        local priority = priorityOf(first[1])
        if returned == 0 and (head < 0 or priority < head) then head = priority end
      end
      local horizon = string.format("%.0f", (nowMs + ${2 * delayMaxMs}) * 4096)
      if redis.call("ZCOUNT", base .. "delayed", horizon, "+inf") > 0 then isTooLong = 1 end
    end
    if head >= 0 then
      -- Those that were delayed or returned count for the band of the first ticket, whatever their own is.
      local band = math.floor(math.max(head - 1, 0) / bandWidth)
      local first = string.format("%.0f", (band * bandWidth + 1) * 4294967296)
      local last = string.format("(%.0f", ((band + 1) * bandWidth + 1) * 4294967296)
      inBand = inBand + returned + redis.call("ZCOUNT", base .. "prioritized", first, last)
    end
    local since = tonumber(redis.call("HGET", prefix .. ":lanes-since", lane) or nowMs)
    local held = redis.call("LLEN", base .. "active")
    return { lane, waiting, head, nextDue, held, isTooLong, inBand, since }
  end`;

const readScript = new RedisScript(`${stateFunction}
  local states = {}
  for index = 3, #ARGV do states[#states + 1] = stateOf(ARGV[1], ARGV[index], tonumber(ARGV[2])) end
  return cjson.encode({ nowMs, states })`);

/**
 * Notes that tickets are added to lanes, so that all processes know the lanes. The score of a lane in the set is the
 * last time of that. Also sets the length of the stream of events, which BullMQ reads from the lane's `meta`.
 */
const noteScript = new RedisScript(`
  local time = redis.call("TIME")
  local nowMs = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  for index = 2, #ARGV do
    redis.call("SADD", KEYS[2], ARGV[index])
    redis.call("ZADD", KEYS[1], nowMs, ARGV[index])
    redis.call("HSET", ARGV[1] .. ":" .. ARGV[index] .. ":meta", "opts.maxLenEvents", ${eventsKept})
  end
  return 0`);

/**
 * A lane in which nothing seems to have happened is read again in its turn, at least so many lanes in each look: a process
 * may have died before it told of a change, or may be of a version that tells of none.
 */
const readInTurn = 10;
/** With many lanes more in each look, so that their turns come within about so many seconds. */
const turnsWithinSeconds = 30;

/**
 * The state of all lanes. The process whose token holds the lock reads it, stores it, and removes lanes that were empty
 * for long; the others get what that process stored last. A token of "" never takes the lock.
 *
 * It reads only the lanes in which something has happened since the last look, or in which a delayed ticket is due, or that
 * may vanish, and a few in turn; the state of the others is the one that was stored. So its cost follows what happens, and not
 * the number of lanes. That tickets were added shows the lane's score, too: a process of an earlier version tells nothing else.
 */
const keepScript = new RedisScript(`${stateFunction}
  local lockKey, snapshotKey, lanesKey, sinceKey, changedKey = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
  local prefix, token, lockMs, callerNowMs = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
  local owner = redis.call("GET", lockKey)
  local isKeeper = token ~= "" and (not owner or owner == token)
  local stored = redis.call("GET", snapshotKey)
  if stored and not isKeeper then return { 0, stored } end
  local known, isChanged, lookedAtMs = {}, {}, 0
  if stored then
    local last = cjson.decode(stored)
    lookedAtMs = last[1]
    for _, state in ipairs(last[2]) do known[state[1]] = state end
  end
  if isKeeper then
    for _, lane in ipairs(redis.call("SMEMBERS", changedKey)) do isChanged[lane] = true end
    redis.call("DEL", changedKey)
  end

  local states = {}
  local lanes = redis.call("ZRANGE", lanesKey, 0, -1, "WITHSCORES")
  local emptyMs = #lanes / 2 > tonumber(ARGV[6]) and tonumber(ARGV[7]) or tonumber(ARGV[5])
  local removedMax = 5
  local isDefaultKnown = false

  -- Returns true when nothing is left of the lane. A long history takes several calls.
  local function vanish(lane)
    local base = prefix .. ":" .. lane .. ":"
    local left = 0
    for _, kind in ipairs({ "completed", "failed" }) do
      for _, id in ipairs(redis.call("ZRANGE", base .. kind, 0, 199)) do
        redis.call("DEL", base .. id, base .. id .. ":logs", base .. id .. ":lock")
      end
      redis.call("ZREMRANGEBYRANK", base .. kind, 0, 199)
      left = left + redis.call("ZCARD", base .. kind)
    end
    if left > 0 then return false end
    for _, key in ipairs({ "meta", "pc", "id", "marker", "events", "stalled", "stalled-check", "limiter" }) do
      redis.call("DEL", base .. key)
    end
    redis.call("ZREM", lanesKey, lane)
    return true
  end

  local function isEmpty(state) return state[2] == 0 and state[4] < 0 and state[5] == 0 end
  local inTurn = math.max(${readInTurn}, math.ceil(#lanes / 2 / ${turnsWithinSeconds}))
  local firstInTurn = math.floor(nowMs / 1000) * inTurn % math.max(#lanes / 2, 1)

  for index = 1, #lanes, 2 do
    local lane = lanes[index]
    if lane == "${defaultLane}" then isDefaultKnown = true end
    local isOld = tonumber(lanes[index + 1]) < nowMs - emptyMs
    local state = known[lane]
    local isInTurn = ((index - 1) / 2 - firstInTurn) % (#lanes / 2) < inTurn
    local isAdded = tonumber(lanes[index + 1]) >= lookedAtMs
    local isDue = state and state[4] >= 0 and state[4] <= callerNowMs
    local mayVanish = isOld and removedMax > 0
    if not state or isAdded or isChanged[lane] or isInTurn or isDue or (mayVanish and isEmpty(state)) then
      state = stateOf(prefix, lane, callerNowMs)
      if isKeeper and state[2] > 0 then redis.call("HSETNX", sinceKey, lane, nowMs) end
      -- A job whose ticket was given back for a while waits all the same.
      if isKeeper and state[2] == 0 and state[4] < 0 then redis.call("HDEL", sinceKey, lane) end
    end
    local isLongEmpty = isOld and isEmpty(state)
    local isGone = false
    if isKeeper and isLongEmpty and removedMax > 0 and lane ~= "${defaultLane}" then
      removedMax = removedMax - 1
      isGone = vanish(lane)
    end
    if not isGone then states[#states + 1] = state end
  end
  if not isDefaultKnown then states[#states + 1] = stateOf(prefix, "${defaultLane}", callerNowMs) end

  local snapshot = cjson.encode({ nowMs, states })
  if isKeeper then
    redis.call("SET", lockKey, token, "PX", lockMs)
    redis.call("SET", snapshotKey, snapshot, "PX", lockMs)
  end
  return { isKeeper and 1 or 0, snapshot }`);

/** How many tickets of each band wait by priority. Those that are delayed or were returned are not counted. */
const bandsScript = new RedisScript(`
  local counts = {}
  for index = 2, #ARGV do
    local ofLane = {}
    for band = 0, ${jobPriorities.length - 1} do
      local first = string.format("%.0f", (band * ${bandPriorities(0).last} + 1) * 4294967296)
      local last = string.format("(%.0f", ((band + 1) * ${bandPriorities(0).last} + 1) * 4294967296)
      ofLane[#ofLane + 1] = redis.call("ZCOUNT", ARGV[1] .. ":" .. ARGV[index] .. ":prioritized", first, last)
    end
    counts[#counts + 1] = ofLane
  end
  return counts`);

const releaseScript = new RedisScript(
  `if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end return 0`,
);

const [text, whole] = [z.string(), z.int()];
const stateTuple = z.tuple([text, whole, whole, z.number(), whole, whole, whole, z.number()]);
const statesSchema = z.tuple([z.number(), z.array(stateTuple)]);
const keptSchema = z.tuple([z.int(), z.string()]);

function lanesKey(prefix: string): string {
  return `${prefix}:lanes`;
}

/** The lanes in which something has happened that the next look must see. */
function changedKey(prefix: string): string {
  return `${prefix}:lanes-changed`;
}

/** The names of all lanes that have tickets or a history, the default lane included. */
export async function readLaneNames(redis: Redis, prefix: string): Promise<string[]> {
  return [...new Set([defaultLane, ...(await redis.zrange(lanesKey(prefix), 0, -1))])];
}

export async function noteLanes(redis: Redis, prefix: string, lanes: readonly string[]): Promise<void> {
  if (lanes.length > 0)
    await noteScript.run(redis, [lanesKey(prefix), changedKey(prefix)], [prefix, ...lanes]);
}

/** Tickets of these lanes were taken, have ended or were removed: the next look reads their states. */
export async function noteChangedLanes(
  redis: Redis,
  prefix: string,
  lanes: readonly string[],
): Promise<void> {
  if (lanes.length > 0) await redis.sadd(changedKey(prefix), ...lanes);
}

export async function readLaneTickets(
  redis: Redis,
  prefix: string,
  lanes: readonly string[],
): Promise<AllLaneTickets> {
  return statesOf(await readScript.run(redis, [], [prefix, Date.now(), ...lanes]));
}

export interface LaneKeeping {
  prefix: string;
  /** The holder's name in the lock; `null` = this process does not keep the lanes. */
  token: string | null;
  lockMs: number;
  /** A lane to which no ticket was added for so long, and that is empty, vanishes with its history. */
  emptyMs: number;
  /** With more lanes than `lanesMax` the shorter time `crowdedEmptyMs` applies. */
  lanesMax: number;
  crowdedEmptyMs: number;
}

/** The state of all lanes, read by the one process that keeps the lanes. `isKeeper` = this process is that one. */
export async function keepLanes(
  redis: Redis,
  { prefix, token, lockMs, emptyMs, lanesMax, crowdedEmptyMs }: LaneKeeping,
): Promise<AllLaneTickets & { isKeeper: boolean }> {
  const own = [`${prefix}:lane-keeper`, `${prefix}:lane-states`];
  const keys = [...own, lanesKey(prefix), `${prefix}:lanes-since`, changedKey(prefix)];
  const values = [prefix, token ?? "", lockMs, Date.now(), emptyMs, lanesMax, crowdedEmptyMs];
  const [isKeeper, states] = keptSchema.parse(await keepScript.run(redis, keys, values));
  return { isKeeper: isKeeper === 1, ...statesOf(states) };
}

/** Counts of waiting tickets by band, the most urgent first, for each of the lanes in their order. */
export async function readLaneBands(
  redis: Redis,
  prefix: string,
  lanes: readonly string[],
): Promise<number[][]> {
  if (lanes.length === 0) return [];
  return z.array(z.array(z.int())).parse(await bandsScript.run(redis, [], [prefix, ...lanes]));
}

/** Lets another process keep the lanes at once. */
export async function releaseLanes(redis: Redis, prefix: string, token: string): Promise<void> {
  await releaseScript.run(redis, [`${prefix}:lane-keeper`], [token]);
}

function statesOf(reply: unknown): AllLaneTickets {
  const [readAt, tuples] = statesSchema.parse(JSON.parse(z.string().parse(reply)));
  const states = tuples.map(
    ([lane, waiting, head, nextDue, held, isTooLong, waitingInBand, waitingSince]) => ({
      ...{ lane, waiting, held, waitingInBand, waitingSince },
      headPriority: head < 0 ? null : head,
      nextDueAt: nextDue < 0 ? null : nextDue,
      isDelayedTooLong: isTooLong === 1,
    }),
  );
  return { readAt, states };
}
