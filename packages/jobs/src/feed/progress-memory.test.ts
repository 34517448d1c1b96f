import { expect, test } from "@jest/globals";
import { type JobProgress } from "../job/job.ts";
import { ProgressMemory, type LiveProgress } from "./progress-memory.ts";

const noProgress: JobProgress = {
  ...{ percent: 0, node: null, nodeTitle: null, step: null, steps: null, nodesDone: null, nodesTotal: null },
  ...{ remainingLowMs: null, remainingHighMs: null },
};
const of = { jobId: "one", batchId: null, tenantId: "tenant" };
const told = (attempt: number, percent: number): LiveProgress => ({
  ...{ ...of, kind: "progress", attempt, phase: "executing", progress: { ...noProgress, percent } },
});

test("a job that was read just before its end is not shown further back than it was", () => {
  const memory = new ProgressMemory();
  memory.note(told(1, 78));
  const event = {
    jobId: "one",
    sequence: 5,
    type: "completed",
    attempt: 1,
    data: {},
    createdAt: "2026-11-26",
  } as const;
  memory.note({ ...of, kind: "event", status: "completed", event });
  expect(memory.progressOf("one")).toMatchObject({ attempt: 1, progress: { percent: 78 } });
});

test("progress of an attempt never falls, and that of a later attempt begins anew", () => {
  const memory = new ProgressMemory();
  for (const signal of [told(1, 40), told(1, 20)]) memory.note(signal);
  expect(memory.progressOf("one")).toMatchObject({ attempt: 1, progress: { percent: 40 } });
  for (const signal of [told(2, 10), told(1, 50)]) memory.note(signal);
  expect(memory.progressOf("one")).toMatchObject({ attempt: 2, progress: { percent: 10 } });
});
