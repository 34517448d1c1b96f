import { describe, expect, test } from "@jest/globals";
import { type WaitingPrompt } from "../ports/take-backs.ts";
import { takeBacksFor } from "./take-back.ts";

const costMs = 100;
const empty = { id: "empty", loadedModel: "a" };

function waiting(changes: Partial<WaitingPrompt> = {}): WaitingPrompt {
  return {
    ...{ jobId: "job", attempt: 1, leaseNumber: 1, serverId: "busy", triedServerIds: ["busy"] },
    ...{
      lane: "a-lane",
      requires: [],
      band: 2,
      runMs: 10_000,
      mainModel: "a",
      loadMs: 20_000,
      aheadMs: 60_000,
    },
    ...changes,
  };
}

const isTaken = (changes: Partial<WaitingPrompt>, server = empty): boolean =>
  takeBacksFor(server, [waiting(changes)], costMs).length === 1;

describe("a waiting prompt is taken back", () => {
  test("when it would wait for longer than twice the cost, and nothing must be loaded", () => {
    expect(isTaken({ aheadMs: 2 * costMs })).toBe(true);
    expect(isTaken({ aheadMs: 2 * costMs - 1 })).toBe(false);
    expect(isTaken({ mainModel: null, aheadMs: 2 * costMs })).toBe(true);
  });

  test("when it would wait for longer than its model takes to load", () => {
    expect(isTaken({ mainModel: "b", aheadMs: 20_000 + 2 * costMs })).toBe(true);
    expect(isTaken({ mainModel: "b", aheadMs: 20_000 })).toBe(false);
  });

  test("when its wait is not known, only if nothing must be loaded", () => {
    expect(isTaken({ aheadMs: null })).toBe(true);
    expect(isTaken({ aheadMs: null, mainModel: null })).toBe(true);
    expect(isTaken({ aheadMs: null, mainModel: "b" })).toBe(false);
    expect(isTaken({ aheadMs: null, runMs: null })).toBe(true);
  });

  test("not when it is not known how long its model takes to load", () => {
    expect(isTaken({ mainModel: "b", loadMs: null })).toBe(false);
    expect(isTaken({ mainModel: "a", loadMs: null })).toBe(true);
  });

  test("not for a short job, unless it would wait for long", () => {
    expect(isTaken({ runMs: 80, aheadMs: 1_200 })).toBe(false);
    expect(isTaken({ runMs: 80, aheadMs: 5_000 })).toBe(true);
  });

  test("not for a server on which its job was before", () => {
    expect(isTaken({ triedServerIds: ["busy", "empty"] })).toBe(false);
    expect(isTaken({ serverId: "empty", triedServerIds: ["empty"] })).toBe(false);
  });
});

test("the most urgent comes first, then what needs no load, then what would wait for longest", () => {
  const prompts = [
    waiting({ jobId: "longest, loads", mainModel: "b", aheadMs: 90_000 }),
    waiting({ jobId: "short wait", aheadMs: 30_000 }),
    waiting({ jobId: "long wait", aheadMs: 50_000 }),
    waiting({ jobId: "unknown wait", aheadMs: null }),
    waiting({ jobId: "another unknown wait", aheadMs: null }),
    waiting({ jobId: "urgent, loads", mainModel: "b", band: 0, aheadMs: 25_000 }),
  ];
  expect(takeBacksFor(empty, prompts, costMs).map(({ jobId }) => jobId)).toEqual([
    ...["urgent, loads", "another unknown wait", "unknown wait", "long wait", "short wait", "longest, loads"],
  ]);
});
