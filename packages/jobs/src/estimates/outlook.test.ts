import { describe, expect, test } from "@jest/globals";

import { type RunningWork } from "../ports/work-outlook.ts";
import { busyWith, doneAfterMs } from "./outlook.ts";

describe("when the next job begins", () => {
  test.each([
    ["at once, if a server is free", [0, 5_000], 0, 0],
    ["when the first server becomes free", [9_000, 4_000], 0, 4_000],
    ["after the work before it, which one server does", [1_000], 3_000, 4_000],
    ["after the work, which free servers share", [0, 0, 0, 0], 8_000, 2_000],
    ["after the work, which another server joins later", [0, 2_000], 6_000, 4_000],
    ["before a server becomes free that is busy for long", [0, 100_000], 6_000, 6_000],
  ])("%s", (_title, free, work, expected) => {
    expect(doneAfterMs(free, work)).toBe(expected);
  });
});

describe("how long a job keeps its server busy", () => {
  const work: RunningWork = {
    ...{ jobId: "job", batchId: null, serverId: "server", phase: "executing" },
    ...{ remainingLowMs: 4_000, remainingHighMs: 6_000, toldAgoMs: 1_000, runMs: 9_000 },
  };

  test("as its worker said, less the time since then", () => {
    expect(busyWith(work)).toEqual({ lowMs: 3_000, ms: 4_000, highMs: 5_000 });
  });

  test("for as long again as it is late", () => {
    expect(busyWith({ ...work, toldAgoMs: 7_500 })).toEqual({ lowMs: 0, ms: 750, highMs: 1_500 });
  });

  test("by the mean of jobs like it, if its worker said nothing, or it waits there", () => {
    const silent = { ...work, remainingLowMs: null, remainingHighMs: null };
    expect(busyWith(silent)).toEqual({ lowMs: 0, ms: 4_500, highMs: 18_000 });
    expect(busyWith({ ...silent, phase: "submitted" })?.ms).toBe(9_000);
    expect(busyWith({ ...silent, runMs: null })).toBeNull();
  });

  test("not at all while its outputs are saved", () => {
    expect(busyWith({ ...work, phase: "saving", runMs: null })?.highMs).toBe(0);
  });
});
