import { describe, expect, test } from "@jest/globals";
import { ticketPriority } from "@genga/jobs";
import { planTakes, type LaneServer } from "./plan-takes.ts";

const server = (changes: Partial<LaneServer> = {}): LaneServer => ({
  slots: 2,
  jobsHeld: 0,
  lane: null,
  mayServe: () => true,
  ...changes,
});
const head = (lane: string, headPriority: number, waiting = 10) => ({ lane, headPriority, waiting });
const planned = (...arguments_: Parameters<typeof planTakes>) => Object.fromEntries(planTakes(...arguments_));

describe("tickets for free slots come", () => {
  test("from the lane with the first ticket of all", () => {
    expect(planned([server()], [head("a", 7), head("b", 3)])).toEqual({ b: 2 });
  });

  test("from the lane that the server had last, while it has tickets", () => {
    expect(planned([server({ lane: "a" })], [head("a", 7), head("b", 3)])).toEqual({ a: 2 });
    expect(planned([server({ lane: "a" })], [head("a", 7, 1), head("b", 3)])).toEqual({ a: 1, b: 1 });
    expect(planned([server({ lane: "gone" })], [head("a", 7)])).toEqual({ a: 2 });
  });

  test("from another lane when its first ticket is in a more urgent band", () => {
    const heads = [head("a", ticketPriority("normal", 0)), head("b", ticketPriority("high", 900))];
    expect(planned([server({ lane: "a" })], heads)).toEqual({ b: 2 });
  });

  test("for each server from its own lane", () => {
    const servers = [server({ lane: "a", jobsHeld: 1 }), server({ lane: "b" }), server({ slots: 1 })];
    expect(planned(servers, [head("a", 7), head("b", 3)])).toEqual({ a: 1, b: 3 });
  });

  test("from no lane that the server cannot serve, not even from its own", () => {
    const mayServe = (lane: string) => lane === "a";
    expect(planned([server({ mayServe })], [head("a", 7), head("b", 3)])).toEqual({ a: 2 });
    expect(planned([server({ mayServe, lane: "b" })], [head("b", 3)])).toEqual({});
    expect(planned([server({ mayServe }), server()], [head("b", 3)])).toEqual({ b: 2 });
  });

  test("no more than there are, and none for full servers", () => {
    expect(planned([server()], [head("a", 1, 1)])).toEqual({ a: 1 });
    expect(planned([server({ jobsHeld: 2 })], [head("a", 1)])).toEqual({});
    expect(planned([server({ jobsHeld: 3 })], [head("a", 1)])).toEqual({});
    expect(planned([server()], [])).toEqual({});
  });
});
