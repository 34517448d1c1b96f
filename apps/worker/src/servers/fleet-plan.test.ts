import { describe, expect, test } from "@jest/globals";
import { type WorkerRecord } from "@genga/jobs";
import { namedHereAlone, planFleet } from "./fleet-plan.ts";

function worker(id: string, serverIds: string[], serversOwned: number): WorkerRecord {
  const times = { startedAt: new Date(), lastSeenAt: new Date() };
  return {
    id,
    serverIds,
    serversOwned,
    isAlive: true,
    hasStopped: false,
    statusUrl: null,
    serversProblem: null,
    jobsHeld: 0,
    ...times,
  };
}

const none: ReadonlySet<string> = new Set();

/** Lets workers plan in turn until a whole round changes nothing; each server has at most one owner. */
function balance(
  reach: Record<string, string[]>,
  owners: Record<string, string> = {},
): Record<string, string> {
  const owner = new Map(Object.entries(owners));
  const owned = (id: string): string[] => [...owner].filter(([, by]) => by === id).map(([server]) => server);
  for (let round = 0; round < 20; round += 1) {
    const before = JSON.stringify([...owner].sort());
    for (const [workerId, serverIds] of Object.entries(reach)) {
      const workers = Object.entries(reach).map(([id, ids]) => worker(id, ids, owned(id).length));
      const plan = planFleet({ workerId, serverIds, ownedIds: owned(workerId), keptIds: none }, workers);
      for (const server of plan.handOver) owner.delete(server);
      const free = plan.take.filter((server) => !owner.has(server)).slice(0, plan.takeMax);
      for (const server of free) owner.set(server, workerId);
    }
    if (JSON.stringify([...owner].sort()) === before) return Object.fromEntries([...owner].sort());
  }
  throw new Error("Servers keep changing owners.");
}

describe("together the workers own all servers", () => {
  test("with equal configurations, in equal parts", () => {
    const all = ["1", "2", "3", "4"];
    const counts = (owners: Record<string, string>): number[] =>
      ["a", "b"].map((id) => Object.values(owners).filter((owner) => owner === id).length);
    expect(counts(balance({ a: all, b: all }))).toEqual([2, 2]);
    expect(counts(balance({ a: all, b: all }, { 1: "a", 2: "a", 3: "a", 4: "a" }))).toEqual([2, 2]);
  });

  test("in zones without common servers", () => {
    expect(balance({ a: ["1", "2"], b: ["3", "4"] })).toEqual({ 1: "a", 2: "a", 3: "b", 4: "b" });
  });

  test("in zones that overlap, in whatever order servers were taken", () => {
    const reach = { a: ["1", "2"], b: ["2", "3"], c: ["3", "1"] };
    for (const owners of [{}, { 1: "a", 3: "b" }, { 2: "a", 3: "c" }, { 1: "c", 2: "b" }]) {
      expect(Object.keys(balance(reach, owners))).toEqual(["1", "2", "3"]);
    }
  });

  test("when one worker names many more servers than the other", () => {
    expect(balance({ a: ["1", "2", "3"], b: ["3"] })).toMatchObject({ 1: "a", 2: "a" });
    expect(Object.keys(balance({ a: ["1", "2", "3"], b: ["3"] }, { 3: "a" }))).toEqual(["1", "2", "3"]);
  });

  test("in random configurations of random farms", () => {
    let state = 7;
    const random = (below: number): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    for (let farm = 0; farm < 500; farm += 1) {
      const servers = Array.from({ length: 1 + random(8) }, (_, index) => `s${index}`);
      const reach: Record<string, string[]> = {};
      for (let index = 0; index <= random(5); index += 1) {
        const named = servers.filter(() => random(2) === 0);
        if (named.length > 0) reach[`w${index}`] = named;
      }
      const named = new Set(Object.values(reach).flat());
      expect(Object.keys(balance(reach))).toEqual(servers.filter((server) => named.has(server)));
    }
  });

  test("and a server that must stay is not handed over, but another one instead", () => {
    const own = { workerId: "a", serverIds: ["1", "2"], ownedIds: ["1", "2"] };
    const workers = [worker("a", ["1", "2"], 2), worker("b", ["1", "2"], 0)];
    expect(planFleet({ ...own, keptIds: none }, workers).handOver).toEqual(["1"]);
    expect(planFleet({ ...own, keptIds: new Set(["1"]) }, workers).handOver).toEqual(["2"]);
    expect(planFleet({ ...own, keptIds: new Set(["1", "2"]) }, workers).handOver).toEqual([]);
  });

  test("beside a worker of an earlier version, which does not report which servers it names", () => {
    const plan = planFleet({ workerId: "a", serverIds: ["1", "2"], ownedIds: [], keptIds: none }, [
      worker("old", [], 0),
    ]);
    expect(plan).toEqual({ handOver: [], take: ["1", "2"], takeMax: 1 });
  });
});

describe("what no other worker serves", () => {
  const seen = (id: string, serverIds: string[], seconds: number): WorkerRecord => ({
    ...worker(id, serverIds, 0),
    startedAt: new Date(0),
    lastSeenAt: new Date(seconds * 1_000),
  });
  const self = { ...seen("self", ["a", "b"], 100), startedAt: new Date(90_000) };
  const alone = (workers: WorkerRecord[]): string[] =>
    namedHereAlone({ workerId: "self", serverIds: ["a", "b"] }, workers);

  test("is what no worker names that was seen since this one started", () => {
    expect(alone([self, seen("other", ["b", "c"], 95)])).toEqual(["a"]);
    expect(alone([self, seen("other", ["b"], 95), seen("another", ["a"], 99)])).toEqual([]);
  });

  test("is also what a worker names that was not seen since then: it may be the dead predecessor", () => {
    expect(alone([self, seen("predecessor", ["a", "b"], 89)])).toEqual(["a", "b"]);
  });

  test("is everything until this worker has reported itself, and nothing beside a worker that names no servers", () => {
    expect(alone([seen("other", ["a"], 95)])).toEqual(["a", "b"]);
    expect(alone([self, seen("old", [], 95)])).toEqual([]);
  });
});
