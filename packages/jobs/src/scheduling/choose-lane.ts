import { type FirstTicket, type LaneSettings, type LaneState, type SchedulingServer } from "./lane-state.ts";

/**
 * Why a server takes its next ticket from a lane.
 * - `kept`: the server needs no other model for it.
 * - `urgent`: jobs in a more urgent band wait in another lane. When the ticket that was taken turns out to be in no more
 *   urgent band than the server's own first ticket, the caller gives it back and stays.
 * - `overdue`: no server has served the lane for the patience. Only the caller whose compare-and-set of the lane's
 *   `lastServedAtMs` succeeds goes there, so that one server leaves its lane and not all of them.
 * - `free`: the server has no work for what it has loaded.
 */
export type LaneReason = "kept" | "urgent" | "overdue" | "free";

export interface LaneChoice {
  lane: string;
  reason: LaneReason;
  /** The server must load another model for this lane. */
  loads: boolean;
  /** Of an `urgent` choice: the own band of the server's first ticket for what it has loaded. */
  keptBand?: number;
}

/**
 * Decides from which lane a server takes its next job. Pure: the caller fills in what it knows, and commits to the
 * choice by claiming a job; only then does the server count as serving the lane.
 *
 * A server keeps its model while there is work for it, unless
 * 1. another lane's first ticket is of a more urgent band (the job's own band: ageing never makes a server load), or
 * 2. a lane is overdue and the server has stayed for `stayLoads` loads of its model, and for two jobs. If what waits for
 *    its model would be done within two loads, it finishes that first, for at most two loads more.
 * With no work for its model, the server goes to the most urgent band, overdue lanes first, then to lanes that few
 * servers can serve, then to the model with the most work per server. It does not load a model for work that the servers
 * which have the model will all have begun before the load is over, unless that work has waited for the time of a load
 * while this server stood empty.
 *
 * @param lanes all lanes with waiting tickets or servers; `servers` and `ready` of each do not count this server
 * @param now the time in milliseconds by the clock of the states
 * @returns `null` = nothing to take: no eligible lane has work, or others begin all of it sooner than this server could
 */
export function chooseLane(
  server: SchedulingServer,
  lanes: readonly LaneState[],
  now: number,
  settings: LaneSettings,
): LaneChoice | null {
  const offers = offersOf(server, lanes, now);
  const kept = bestKept(offers.kept);
  if (offers.others.length === 0) return kept && choice(kept.lane, "kept");
  if (kept === null) return orNoLoad(server, freeChoice(offers, settings));

  const urgent = urgentLane(offers, kept.head.ownBand);
  if (urgent !== null) {
    const { lane } = turnWithin(offers, urgent);
    return orNoLoad(server, { ...choice(lane, "urgent"), keptBand: kept.head.ownBand });
  }
  if (mayLeave(server, offers, settings)) {
    const overdue = longestOverdue(offers.others, offers, kept.head.ownBand, settings);
    if (overdue !== null) return orNoLoad(server, choice(turnWithin(offers, overdue).lane, "overdue"));
  }
  return choice(kept.lane, "kept");
}

/** A lane with work for the server. */
interface Offer {
  lane: LaneState;
  head: FirstTicket;
}

interface Offers {
  server: SchedulingServer;
  now: number;
  /** Work that needs no other model. */
  kept: Offer[];
  others: Offer[];
  /** Milliseconds of work for the loaded model, for each server that shares it (this one included). */
  keptWorkMs: number;
  work: WorkByModel;
}

/** A lane without a model, and one that always loads, stands for itself. */
interface WorkByModel {
  models: Map<string, ModelWork>;
  lanes: Map<string, ModelWork>;
}

interface ModelWork {
  /** Milliseconds of waiting work, in all lanes of the model that this server may serve. */
  workMs: number;
  /** The longest usual run of its lanes: a server that has the model may be busy for so long before its next job. */
  runMsMax: number;
}

function offersOf(server: SchedulingServer, lanes: readonly LaneState[], now: number): Offers {
  const work: WorkByModel = { models: new Map(), lanes: new Map() };
  const offers: Offers = { server, now, kept: [], others: [], keptWorkMs: 0, work };
  for (const lane of lanes) {
    const { head } = lane;
    const ofModel = modelWorkOf(offers.work, lane);
    if (lane.waiting > 0 || lane.servers > 0) ofModel.runMsMax = Math.max(ofModel.runMsMax, lane.runMs);
    if (head === null || lane.waiting === 0 || lane.isPaused || !server.isEligible(lane.name)) continue;
    const workMs = workMsOf(lane);
    ofModel.workMs += workMs;
    if (isKept(server, lane)) {
      offers.kept.push({ lane, head });
      if (lane.model !== null) offers.keptWorkMs += workMs / (lane.ready + 1);
    } else {
      offers.others.push({ lane, head });
    }
  }
  return offers;
}

function modelWorkOf({ models, lanes }: WorkByModel, { name, model, alwaysLoads }: LaneState): ModelWork {
  const [works, key] = model === null || alwaysLoads ? [lanes, name] : [models, model];
  const known = works.get(key);
  if (known !== undefined) return known;
  const fresh = { workMs: 0, runMsMax: 0 };
  works.set(key, fresh);
  return fresh;
}

/** In a lane that always loads, every job loads its model anyway, so to stay there costs nothing more. */
function isKept(server: SchedulingServer, lane: LaneState): boolean {
  if (lane.alwaysLoads) return server.lane === lane.name;
  return lane.model === null || lane.model === server.loadedModel;
}

function workMsOf({ waiting, runMs, loadMs, alwaysLoads }: LaneState): number {
  return waiting * (alwaysLoads ? runMs + loadMs : runMs);
}

/** The most urgent band first, then the tenant that is least ahead of its share, then the lane served longest ago. */
function bestKept(offers: Offer[]): Offer | null {
  return best(offers, (one, other) => {
    return (
      one.head.band - other.head.band ||
      one.head.aheadMs - other.head.aheadMs ||
      one.lane.lastServedAtMs - other.lane.lastServedAtMs
    );
  });
}

/**
 * The lanes of one model take turns, also when the server loads the model for one of them. A ticket that is taken before
 * its turn would put those that come to its lane behind all that have their turns before it.
 */
function turnWithin({ others }: Offers, chosen: Offer): Offer {
  const { model, alwaysLoads } = chosen.lane;
  if (alwaysLoads) return chosen;
  const ofModel = others.filter(
    ({ lane, head }) => lane.model === model && !lane.alwaysLoads && head.ownBand === chosen.head.ownBand,
  );
  return bestKept(ofModel) ?? chosen;
}

function urgentLane(offers: Offers, ownBand: number): Offer | null {
  const urgent = offers.others.filter(
    ({ lane, head }) => head.ownBand < ownBand && !isBegunSoon(lane, offers, lane.waitingInBand * lane.runMs),
  );
  return best(urgent, (one, other) => {
    return (
      one.head.ownBand - other.head.ownBand ||
      workPerServer(other.lane, offers) - workPerServer(one.lane, offers) ||
      one.lane.lastServedAtMs - other.lane.lastServedAtMs
    );
  });
}

const staysForRuns = 2;

function mayLeave(
  { modelSinceMs }: SchedulingServer,
  { kept, keptWorkMs, now }: Offers,
  { stayLoads }: LaneSettings,
): boolean {
  const loading = kept.find(({ lane }) => lane.model !== null)?.lane;
  // Nothing waits for what is loaded, so nothing is lost by a load.
  if (loading === undefined || modelSinceMs === null) return true;
  const stayedMs = now - modelSinceMs;
  const finishLoads = 2;
  // Two jobs at least, however short the load: of a tenant that floods, and then the first one of another tenant.
  if (stayedMs < Math.max(stayLoads * loading.loadMs, staysForRuns * loading.runMs)) return false;
  const isNearlyDone = !loading.alwaysLoads && keptWorkMs <= finishLoads * loading.loadMs;
  return !isNearlyDone || stayedMs >= (stayLoads + finishLoads) * loading.loadMs;
}

/**
 * Jobs of less urgent bands wait until ageing has moved them up. Where servers have the lane's model, a lane whose turn
 * is far away does not wait for a server, but for the tenants' other jobs.
 */
function longestOverdue(
  among: Offer[],
  offers: Offers,
  ownBand: number,
  { patienceMs }: LaneSettings,
): Offer | null {
  const { now } = offers;
  const overdue = among.filter(
    ({ lane, head }) =>
      head.band <= ownBand &&
      now - unservedSince(lane) >= patienceMs &&
      !(lane.ready > 0 && head.aheadMs > patienceMs),
  );
  return best(overdue, (one, other) => {
    return (
      unservedSince(one.lane) - unservedSince(other.lane) ||
      compareScarcity(one.lane, other.lane, offers) ||
      workPerServer(other.lane, offers) - workPerServer(one.lane, offers)
    );
  });
}

/** A lane whose jobs have just come is not overdue, however long ago it was served. */
function unservedSince({ lastServedAtMs, waitingSinceMs }: LaneState): number {
  return Math.max(lastServedAtMs, waitingSinceMs);
}

function freeChoice(offers: Offers, settings: LaneSettings): LaneChoice | null {
  const worth = offers.others.filter(
    ({ lane }) => !isBegunSoon(lane, offers, modelWorkOf(offers.work, lane).workMs),
  );
  const first = best(worth, (one, other) => {
    return (
      one.head.ownBand - other.head.ownBand ||
      compareScarcity(one.lane, other.lane, offers) ||
      workPerServer(other.lane, offers) - workPerServer(one.lane, offers) ||
      one.lane.lastServedAtMs - other.lane.lastServedAtMs
    );
  });
  if (first === null) return null;
  const overdue = longestOverdue(worth, offers, first.head.ownBand, settings);
  return overdue === null
    ? choice(turnWithin(offers, first).lane, "free")
    : choice(turnWithin(offers, overdue).lane, "overdue");
}

/**
 * The servers that have the model will have begun all of the work before another server had loaded the model. If the
 * lane has had work for the time of a load while this server stood empty, that was wrong, since more work keeps coming.
 */
function isBegunSoon(lane: LaneState, { server, now, work }: Offers, workMs: number): boolean {
  const { ready, alwaysLoads, loadMs, waitingSinceMs } = lane;
  if (ready === 0 || alwaysLoads) return false;
  if (now - Math.max(server.idleSinceMs ?? now, waitingSinceMs) > loadMs) return false;
  return modelWorkOf(work, lane).runMsMax + workMs / ready <= loadMs;
}

/**
 * Lanes that few servers can serve come first, so that servers that can serve many do not take the work of those that
 * can serve few. Roughly, by powers of two; and not for work that is shorter than a load.
 */
function compareScarcity(one: LaneState, other: LaneState, offers: Offers): number {
  const steps = [one, other].map((lane) => {
    return workPerServer(lane, offers) < lane.loadMs
      ? Number.MAX_SAFE_INTEGER
      : Math.round(Math.log2(lane.eligible + 1));
  });
  return (steps[0] ?? 0) - (steps[1] ?? 0);
}

/** What each server that has the lane's model would have to do if one more came: the work of all lanes of the model. */
function workPerServer(lane: LaneState, { work }: Offers): number {
  return modelWorkOf(work, lane).workMs / ((lane.alwaysLoads ? lane.servers : lane.ready) + 1);
}

function choice(lane: LaneState, reason: LaneReason): LaneChoice {
  return { lane: lane.name, reason, loads: reason !== "kept" };
}

function orNoLoad(server: SchedulingServer, chosen: LaneChoice | null): LaneChoice | null {
  return server.mayLoad ? chosen : null;
}

function best<Item>(items: readonly Item[], compare: (one: Item, other: Item) => number): Item | null {
  let first: Item | null = null;
  for (const item of items) if (first === null || compare(item, first) < 0) first = item;
  return first;
}
