import { describe, expect, test } from "@jest/globals";
import { type LaneHead } from "../ports/ticket-queue.ts";
import { chooseLane } from "./choose-lane.ts";
import { type LaneState } from "./lane-state.ts";
import { LaneTurns } from "./lane-turns.ts";
import { ticketPriority } from "./ticket-rank.ts";
import { LanePicture, type PictureLane, type PictureServer } from "./lane-picture.ts";

const nowMs = 1_000_000;

function head(lane: string, changes: Partial<LaneHead> = {}): LaneHead {
  const waitingSince = new Date(nowMs - 5_000);
  return {
    lane,
    waiting: 10,
    waitingInBand: 10,
    waitingSince,
    headPriority: ticketPriority("normal", 3),
    ...changes,
  };
}

function server(id: string, changes: Partial<PictureServer> = {}): PictureServer {
  return { id, lane: null, loadedModel: null, modelSinceMs: null, capability: "all", ...changes };
}

function picture(heads: LaneHead[], servers: PictureServer[], paused: string[] = []): LanePicture {
  return new LanePicture({
    ...{ heads, servers, nowMs, turns: new LaneTurns() },
    laneNamed: (name): PictureLane => ({
      model: name === "default" || name.startsWith("no-model") ? null : name.slice(0, 1),
      ...{ runMs: 100, loadMs: 2_000, lastServedAtMs: 7, servingSinceMs: nowMs - 3_000 },
      isPaused: paused.includes(name),
      clocks: {},
    }),
    mayServe: (capability, lane) => capability === "all" || lane.startsWith(capability),
  });
}

function lane(seen: LanePicture, id: string, name: string): LaneState {
  const state = seen.lanesFor(id).find((each) => each.name === name);
  if (state === undefined) throw new Error(`There is no lane ${name}.`);
  return state;
}

describe("a lane, as a server sees it", () => {
  test("counts the other servers that serve it, could serve it, and have its model", () => {
    const seen = picture(
      [head("a-1")],
      [
        server("self", { lane: "a-1", loadedModel: "a" }),
        server("same lane", { lane: "a-1", loadedModel: "a" }),
        server("same model", { lane: "a-2", loadedModel: "a", capability: "a" }),
        server("other model", { lane: "b-1", loadedModel: "b" }),
        server("not able", { lane: "b-1", loadedModel: "a", capability: "b" }),
      ],
    );
    expect(lane(seen, "self", "a-1")).toMatchObject({ servers: 1, eligible: 3, ready: 2, waiting: 10 });
    expect(lane(seen, "not able", "a-1")).toMatchObject({ servers: 2, eligible: 4, ready: 3 });
  });

  test("has no head when it has only servers", () => {
    const seen = picture([head("a-1")], [server("self"), server("other", { lane: "b-1", loadedModel: "b" })]);
    expect(lane(seen, "self", "b-1")).toMatchObject({ waiting: 0, head: null, servers: 1 });
  });

  test("waits no longer than it could be served", () => {
    const late = new Date(nowMs - 1_000);
    const seen = picture([head("a-1"), head("b-1", { waitingSince: late })], [server("self")]);
    expect(lane(seen, "self", "a-1").waitingSinceMs).toBe(nowMs - 3_000);
    expect(lane(seen, "self", "b-1").waitingSinceMs).toBe(nowMs - 1_000);
  });
});

test("a server that chooses says since when it has stood empty", () => {
  const seen = picture([head("a-1")], [server("one")]);
  expect(seen.schedulingServer("one", true, 7).idleSinceMs).toBe(7);
  expect(seen.schedulingServer("one", false).idleSinceMs).toBeNull();
});

describe("a ticket that is to be taken", () => {
  test("makes its server serve the lane, for the others and for its next slot", () => {
    const seen = picture([head("a-1")], [server("one"), server("two")]);
    seen.noteTake("one", "a-1");
    expect(lane(seen, "two", "a-1")).toMatchObject({ servers: 1, ready: 1, waiting: 9, waitingInBand: 9 });
    expect(seen.schedulingServer("one", false)).toMatchObject({
      ...{ lane: "a-1", loadedModel: "a", modelSinceMs: nowMs, mayLoad: false },
    });
  });

  test("leaves what is loaded when it needs no model", () => {
    const loaded = server("one", { lane: "a-1", loadedModel: "a", modelSinceMs: 5 });
    const seen = picture([head("no-model-1")], [loaded]);
    seen.noteTake("one", "no-model-1");
    expect(seen.schedulingServer("one", true)).toMatchObject({
      ...{ lane: "no-model-1", loadedModel: "a", modelSinceMs: 5 },
    });
  });

  test("may be the last of its band; then what follows is not known", () => {
    const seen = picture([head("a-1", { waitingInBand: 1 })], [server("one"), server("two")]);
    seen.noteTake("one", "a-1");
    expect(lane(seen, "two", "a-1").waiting).toBe(0);
  });
});

describe("a server that leaves its model for a more urgent ticket", () => {
  const settings = { patienceMs: 60_000, stayLoads: 8 };
  const loaded = server("one", { lane: "a-1", loadedModel: "a", modelSinceMs: nowMs });

  test.each([
    ["begins with a job that has aged", { headPriority: ticketPriority("low", 0, 2) }, "a-3"],
    ["is paused", { headPriority: ticketPriority("urgent", 0) }, "a-1"],
  ])(
    "compares it with the ticket that it would take else, also when a lane of its model %s",
    (_how, first, paused) => {
      const low = { headPriority: ticketPriority("low", 0) };
      const heads = [head("a-1", first), head("a-2", paused === "a-1" ? low : {}), head("b-1")];
      const seen = picture(heads, [loaded], [paused]);
      const choice = chooseLane(seen.schedulingServer("one", true), seen.lanesFor("one"), nowMs, settings);
      expect(choice).toEqual({ lane: "b-1", reason: "urgent", loads: true, keptBand: 3 });
    },
  );
});
