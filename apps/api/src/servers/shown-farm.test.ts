import { describe, expect, test } from "@jest/globals";
import { type ServerRecord, type WorkerRecord } from "@genga/jobs";
import { countServers, describeWorkers, showFarm } from "./shown-farm.ts";

const now = new Date();

function server(id: string, more: Partial<ServerRecord> = {}): ServerRecord {
  return {
    ...{
      id,
      url: `http://${id}`,
      slots: 2,
      state: "online",
      stateReason: null,
      stateSince: now,
      draining: false,
    },
    ...{ ownerId: "worker", leaseNumber: 1, isLeased: true, leaseExpiresAt: now, definitionsHash: "hash" },
    ...{ version: null, labels: [], abilities: null, devices: null, isRemoved: false, jobsHeld: 0 },
    ...{ lane: null, loadedModel: null, modelSince: null },
    ...{
      source: "setting",
      resolvedFrom: null,
      credential: null,
      isAdded: false,
      addedAt: null,
      hasAuthorization: false,
    },
    ...more,
  };
}

const unleased = { isLeased: false } as const;

function worker(id: string, serverIds: string[], isAlive = true): WorkerRecord {
  return {
    id,
    serverIds,
    isAlive,
    hasStopped: false,
    statusUrl: null,
    serversProblem: null,
    startedAt: now,
    lastSeenAt: now,
    serversOwned: 0,
    jobsHeld: 0,
  };
}

describe("a server without an owner", () => {
  test.each([
    ["retired when workers are alive and none names it", [worker("a", ["other"])], "retired"],
    ["not retired while a living worker names it", [worker("a", ["s"])], "unowned"],
    [
      "not retired while a worker that stopped or died lately names it",
      [worker("a", ["other"]), worker("b", ["s"], false)],
      "unowned",
    ],
    ["not retired while a worker does not report which servers it names", [worker("a", [])], "unowned"],
    ["not retired when all workers are dead", [worker("a", ["other"], false)], "unowned"],
    ["not retired when no worker was seen lately", [], "unowned"],
  ])("is %s", (_name, workers, state) => {
    expect(showFarm([server("s", unleased)], workers, null).servers).toMatchObject([{ id: "s", state }]);
  });

  test("one that was added stays, and says why no worker has it", () => {
    const added = server("s", { ...unleased, source: "api", isAdded: true });
    const reasonBy = (workers: WorkerRecord[]): unknown => {
      const [shown] = showFarm([added], workers, null).servers;
      return [shown?.state, shown?.stateReason];
    };
    expect(reasonBy([worker("a", ["other"])])).toEqual([
      "unowned",
      expect.stringContaining("SERVERS_FROM_API"),
    ]);
    expect(reasonBy([worker("a", ["s"])])).toEqual(["unowned", "No worker owns this server."]);
    expect(reasonBy([])).toEqual(["unowned", "No worker is alive."]);
  });

  test("a removed server is not shown, but attempts on it keep its address", () => {
    const farm = showFarm([server("s", { ...unleased, isRemoved: true })], [worker("a", ["x"])], null);
    expect(farm.servers).toEqual([]);
    expect(farm.named).toMatchObject([{ id: "s", url: "http://s" }]);
  });
});

test("a removed server that a worker owns again is shown, whatever its row says", () => {
  expect(showFarm([server("s", { isRemoved: true })], [], null).servers).toMatchObject([{ state: "online" }]);
});

test("health and the queue count the same servers, and one slot of a server on probation", () => {
  const records = [server("a"), server("b", { state: "probing" }), server("c", unleased)];
  const farm = showFarm([...records, server("d", unleased)], [worker("w", ["a", "b", "c"])], null);
  expect(countServers(farm)).toEqual({ total: 3, online: 2, unowned: 1, retired: 1, slots: 3, jobsHeld: 0 });
});

test("a paused farm counts as unavailable, however many workers are alive", () => {
  const pause = { pausedAt: new Date("2026-11-25T12:00:00Z"), pausedBy: "key" };
  expect(() => describeWorkers({ ...showFarm([server("a")], [], pause), storageHolds: [] })).toThrow(
    "1 alive; the farm is paused since 2026-11-25T12:00:00.000Z",
  );
});

describe("a server without an owner is abandoned", () => {
  const dead = { ...worker("dead", ["s"], false), lastSeenAt: new Date(1_000) };
  const stopped = { ...worker("stopped", ["s"], false), hasStopped: true, lastSeenAt: new Date(2_000) };
  test.each([
    ["when a live worker names it", [worker("a", ["s"]), stopped], true],
    ["when the last worker that named it died", [dead, worker("a", ["other"])], true],
    ["when a later one died", [stopped, { ...dead, lastSeenAt: new Date(3_000) }], true],
    ["but not when that one stopped on purpose", [dead, stopped, worker("a", ["other"])], false],
    ["but not when no worker was seen lately", [], false],
  ])("%s", (_name, workers, isAbandoned) => {
    expect(showFarm([server("s", unleased)], workers, null).abandoned.has("s")).toBe(isAbandoned);
  });

  test("but not while it has an owner", () => {
    expect(showFarm([server("s")], [worker("a", ["s"])], null).abandoned.size).toBe(0);
  });
});
