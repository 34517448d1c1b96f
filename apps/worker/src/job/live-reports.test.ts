import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { type JobPhase, type JobProgress } from "@genga/jobs";
import { LiveReports, type Report } from "./live-reports.ts";
import { type Run } from "./run.ts";

/** Only the identity of a run matters here. */
const run = { jobId: "the job" } as Run;
const nothingYet: JobProgress = {
  ...{ percent: 0, node: null, nodeTitle: null, step: null, steps: null, nodesDone: 0, nodesTotal: 1 },
  ...{ remainingLowMs: null, remainingHighMs: null },
};
const report = (step: number, phase: JobPhase = "executing"): Report => ({
  ...{ run, phase, progress: { ...nothingYet, percent: step, step, steps: 100 } },
});

describe("what watchers of a job are told live", () => {
  let told: { step: number | null; at: number }[];
  let live: LiveReports;
  const startedAt = 1_000_000;
  beforeEach(() => {
    jest.useFakeTimers({ now: startedAt });
    told = [];
    live = new LiveReports(({ progress }) => {
      told.push({ step: progress.step, at: Date.now() - startedAt });
    });
  });
  afterEach(() => {
    live.close();
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });
  /** One step every so many milliseconds. @returns how late each told one was */
  const send = (steps: number, everyMs: number): number[] => {
    for (let step = 1; step <= steps; step += 1) {
      live.note(report(step));
      jest.advanceTimersByTime(everyMs);
    }
    return told.map(({ step, at }) => at - ((step ?? 0) - 1) * everyMs);
  };

  test("is each step at once, where ten or fewer come a second", () => {
    expect(send(30, 100)).toEqual(Array.from({ length: 30 }, () => 0));
  });

  test.each([50, 20, 7, 3])(
    "is the newest step ten times a second, where one comes every %d ms",
    (everyMs) => {
      const late = send(Math.ceil(5_000 / everyMs), everyMs);
      expect(told.length).toBeGreaterThanOrEqual(49);
      expect(told.length).toBeLessThanOrEqual(52);
      expect(Math.max(...late)).toBe(0);
    },
  );

  test("is the last step of a burst soon, although no other message follows", () => {
    send(4, 10);
    jest.advanceTimersByTime(10_000);
    expect(told.map(({ step }) => step)).toEqual([1, 2, 4]);
    expect(told.at(-1)?.at).toBeLessThanOrEqual(160);
  });

  test("is a new phase at once, and what has not changed only once", () => {
    send(3, 1);
    live.note(report(3, "saving"));
    expect(told.at(-1)).toMatchObject({ step: 3, at: 3 });
    for (let again = 0; again < 20; again += 1) {
      live.note(report(3, "saving"));
      jest.advanceTimersByTime(100);
    }
    expect(told).toHaveLength(3);
  });

  test("is what waits, if it is asked for at the end of the run, and nothing of a run that was forgotten", () => {
    send(4, 1);
    live.flush(run);
    live.flush(run);
    expect(told.map(({ step }) => step)).toEqual([1, 2, 4]);
    live.note(report(5));
    live.forget(run);
    jest.advanceTimersByTime(10_000);
    expect(told).toHaveLength(3);
  });
});
