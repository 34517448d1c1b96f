import { describe, expect, test } from "@jest/globals";
import { chooseLane } from "./choose-lane.ts";
import { type LaneState, type SchedulingServer } from "./lane-state.ts";

const now = 1_000_000;
const settings = { patienceMs: 60_000, stayLoads: 8 };
const loadMs = 20_000;

function server(fields: Partial<SchedulingServer> = {}): SchedulingServer {
  return {
    loadedModel: null,
    lane: null,
    modelSinceMs: null,
    idleSinceMs: null,
    mayLoad: true,
    isEligible: () => true,
    ...fields,
  };
}

/** A lane with a model of its name, whose jobs began to wait just now. */
function lane(name: string, fields: Partial<LaneState> = {}, band = 2, ownBand = band): LaneState {
  const waiting = fields.waiting ?? 100;
  return {
    name,
    model: name,
    alwaysLoads: false,
    waiting,
    waitingInBand: waiting,
    head: { band, ownBand, aheadMs: 0 },
    waitingSinceMs: now,
    lastServedAtMs: 0,
    runMs: 1_000,
    loadMs,
    isPaused: false,
    servers: 0,
    eligible: 3,
    ready: 0,
    ...fields,
  };
}

const choose = (of: SchedulingServer, ...lanes: LaneState[]) => chooseLane(of, lanes, now, settings);
const served = (model: string, sinceMs: number, fields: Partial<SchedulingServer> = {}) =>
  server({ loadedModel: model, lane: model, modelSinceMs: now - sinceMs, ...fields });
/** A lane that no server has served for longer than the patience. */
const overdue = { waitingSinceMs: now - 600_000, lastServedAtMs: now - 60_000 };

describe("a server with work for its model", () => {
  test("stays, however much waits in other lanes", () => {
    expect(choose(served("a", 5_000), lane("a", { waiting: 1 }), lane("b", { waiting: 90_000 }))).toEqual({
      lane: "a",
      reason: "kept",
      loads: false,
    });
  });

  test("serves all lanes of its model, the more urgent ticket first, then the tenant that is behind, then in turn", () => {
    const high = lane("a-high", { model: "a" }, 1);
    const ahead = lane("a-ahead", { model: "a", head: { band: 2, ownBand: 2, aheadMs: 500 } });
    const recent = lane("a-recent", { model: "a", lastServedAtMs: now - 1 });
    const longAgo = lane("a-long-ago", { model: "a", lastServedAtMs: now - 2 });
    expect(choose(served("a", 0), ahead, recent, high)?.lane).toBe("a-high");
    expect(choose(served("a", 0), ahead, recent)?.lane).toBe("a-recent");
    expect(choose(served("a", 0), recent, longAgo)?.lane).toBe("a-long-ago");
  });

  test("serves lanes without a model in between, and keeps its own", () => {
    const free = lane("no-model", { model: null, lastServedAtMs: now - 9 });
    expect(choose(served("a", 0), lane("a", { lastServedAtMs: now - 3 }), free)).toEqual({
      lane: "no-model",
      reason: "kept",
      loads: false,
    });
  });

  test("leaves for a job of a more urgent band", () => {
    expect(choose(served("a", 0), lane("a"), lane("b", {}, 0))).toEqual({
      lane: "b",
      reason: "urgent",
      loads: true,
      keptBand: 2,
    });
  });

  test("does not leave for a job that is more urgent only by its age", () => {
    expect(choose(served("a", 0), lane("a"), lane("b", {}, 1, 2))?.lane).toBe("a");
  });

  test("does not leave for urgent jobs that another server begins sooner than it could load their model", () => {
    const few = lane("b", { waiting: 100, waitingInBand: 10, ready: 1, servers: 1 }, 0);
    const many = lane("b", { waiting: 100, waitingInBand: 30, ready: 1, servers: 1 }, 0);
    expect(choose(served("a", 0), lane("a"), few)?.lane).toBe("a");
    expect(choose(served("a", 0), lane("a"), many)?.lane).toBe("b");
  });

  test("leaves for an overdue lane, but only after eight loads of its own model", () => {
    expect(choose(served("a", 8 * loadMs - 1), lane("a"), lane("b", overdue))?.lane).toBe("a");
    expect(choose(served("a", 8 * loadMs), lane("a"), lane("b", overdue))).toEqual({
      lane: "b",
      reason: "overdue",
      loads: true,
    });
  });

  test("finishes what is left for its model before it leaves, for two loads at most", () => {
    const rest = lane("a", { waiting: 40 });
    expect(choose(served("a", 8 * loadMs), rest, lane("b", overdue))?.lane).toBe("a");
    expect(choose(served("a", 10 * loadMs), rest, lane("b", overdue))?.lane).toBe("b");
  });

  test("takes a lane for overdue neither for the age of its jobs nor for its long rest before they came", () => {
    const servedJustNow = lane("b", { waitingSinceMs: 0, lastServedAtMs: now - 59_999 });
    const filledJustNow = lane("c", { waitingSinceMs: now - 59_999 });
    expect(choose(served("a", 900_000), lane("a"), servedJustNow, filledJustNow)?.lane).toBe("a");
  });

  test("leaves overdue jobs of a less urgent band until they have aged", () => {
    expect(choose(served("a", 900_000), lane("a"), lane("b", overdue, 3))?.lane).toBe("a");
    expect(choose(served("a", 900_000), lane("a"), lane("b", overdue, 2, 3))?.lane).toBe("b");
  });

  test("goes to the lane that is overdue longest", () => {
    const longer = lane("c", { ...overdue, lastServedAtMs: now - 90_000 });
    expect(choose(served("a", 900_000), lane("a"), lane("b", overdue), longer)?.lane).toBe("c");
  });

  test("does not leave for paused lanes, nor for those that it cannot serve", () => {
    const isEligible = (name: string) => name !== "b";
    const lanes = [lane("a"), lane("b", overdue, 0), lane("c", { ...overdue, isPaused: true }, 0)];
    expect(choose(served("a", 900_000, { isEligible }), ...lanes)?.lane).toBe("a");
  });

  test("leaves its second slot empty when it is about to load another model", () => {
    expect(choose(served("a", 0, { mayLoad: false }), lane("a"), lane("b", {}, 0))).toBeNull();
    expect(choose(served("a", 0, { mayLoad: false }), lane("a"), lane("b"))?.lane).toBe("a");
    expect(choose(served("a", 0, { mayLoad: false }), lane("b"))).toBeNull();
  });
});

describe("a server without work for its model", () => {
  test("goes to the most work for each server, itself counted", () => {
    const shared = lane("b", { waiting: 300, servers: 3, ready: 3 });
    expect(choose(served("a", 0), shared, lane("c", { waiting: 80 }))).toEqual({
      lane: "c",
      reason: "free",
      loads: true,
    });
    expect(choose(server(), lane("b", { waiting: 10, runMs: 9_000 }), lane("c", { waiting: 80 }))?.lane).toBe(
      "b",
    );
  });

  test("goes to the most urgent band first, and to overdue lanes of it before others", () => {
    expect(choose(server(), lane("b", { waiting: 900 }), lane("c", { waiting: 1 }, 1))?.lane).toBe("c");
    expect(choose(server(), lane("b", { waiting: 900 }), lane("c", { ...overdue, waiting: 1 }))).toEqual({
      lane: "c",
      reason: "overdue",
      loads: true,
    });
  });

  test("leaves the work that many servers can do to those that can do nothing else, if it is worth a load", () => {
    const common = lane("b", { waiting: 900 });
    expect(choose(server(), common, lane("c", { waiting: 20, eligible: 0 }))?.lane).toBe("c");
    expect(choose(server(), common, lane("c", { waiting: 19, eligible: 0 }))?.lane).toBe("b");
  });

  test("does not load a model for work that the servers which have it begin sooner", () => {
    const soon = lane("b", { waiting: 19, servers: 1, ready: 1 });
    const later = lane("b", { waiting: 20, servers: 1, ready: 1 });
    expect(choose(server(), soon)).toBeNull();
    expect(choose(server(), later)?.lane).toBe("b");
  });

  test("loads a model after all when the lane has had work for the time of a load while the server stood empty", () => {
    const busy = lane("b", { waiting: 1, servers: 1, ready: 1, waitingSinceMs: now - 900_000 });
    expect(choose(server({ idleSinceMs: now - loadMs }), busy)).toBeNull();
    expect(choose(server({ idleSinceMs: now - loadMs - 1 }), busy)?.lane).toBe("b");
    expect(choose(server({ idleSinceMs: 0 }), { ...busy, waitingSinceMs: now - loadMs })).toBeNull();
  });

  test("loads a model for one job when the server that has it is busy for longer than the load", () => {
    const short = lane("b", { model: "m", waiting: 1, ready: 1 });
    const long = lane("c", { model: "m", waiting: 0, head: null, runMs: 480_000, servers: 1, ready: 1 });
    expect(choose(server(), short)).toBeNull();
    expect(choose(server(), short, long)?.lane).toBe("b");
  });

  test("takes any lane that no loaded server can serve rather than stand idle", () => {
    expect(choose(server(), lane("b", { waiting: 1 }))?.lane).toBe("b");
    expect(choose(server(), lane("b", { waiting: 1 }, 3))?.lane).toBe("b");
  });

  test("has nothing to take when all lanes are empty, paused, or for other servers", () => {
    expect(choose(server(), lane("a", { waiting: 0, head: null }))).toBeNull();
    expect(choose(server(), lane("a", { isPaused: true }))).toBeNull();
    expect(choose(server({ isEligible: () => false }), lane("a"))).toBeNull();
    expect(choose(server())).toBeNull();
  });
});

describe("the lane whose jobs always load", () => {
  const shared = lane("default", { model: null, alwaysLoads: true });

  test("is left and entered like a model of its own", () => {
    const inDefault = server({ lane: "default", modelSinceMs: now - 8 * loadMs });
    expect(choose(served("a", 0), lane("a"), shared)?.lane).toBe("a");
    expect(choose(inDefault, shared, lane("b"))?.lane).toBe("default");
    expect(choose(inDefault, shared, lane("b", overdue))?.lane).toBe("b");
  });

  test("counts as longer work, since each of its jobs loads", () => {
    expect(choose(server(), { ...shared, waiting: 10 }, lane("b", { waiting: 200 }))?.lane).toBe("default");
  });
});
