import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter } from "./forgery.ts";
import { answer, event } from "./true-history.ts";

describe("a job's events and answers: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "a job that was not found",
      /answers: it was answered 404/,
      (_, job) => job.answers.push({ at: 0, httpStatus: 404, text: "no such job" }),
    ],
    [
      "a server error",
      /answers: it was answered 500/,
      (_, job) => job.answers.push({ at: 0, httpStatus: 500, text: "" }),
    ],
    [
      "progress that falls",
      /answers: its progress fell from 40 to 10/,
      (_, job) => {
        const fallen = {
          status: "processing",
          phase: "executing",
          attempt: 2,
          sequence: 9,
          percent: 10,
        } as const;
        job.answers.splice(7, 0, answer(fallen));
      },
    ],
    [
      "a sequence that falls",
      /answers: its sequence fell from 11 to 3/,
      (_, job) =>
        job.answers.push(answer({ status: "completed", phase: null, attempt: 2, sequence: 3, percent: 100 })),
    ],
    [
      "an attempt that falls",
      /answers: its attempt fell from 2 to 1/,
      (_, job) =>
        job.answers.push(
          answer({ status: "completed", phase: null, attempt: 1, sequence: 11, percent: 100 }),
        ),
    ],
    [
      "a job that is lost in the end",
      /terminal: after all was healed it was answered 404/,
      (_, job) => (job.finalAnswers[1] = { at: 0, httpStatus: 404, text: "" }),
    ],
    [
      "a job that nobody asked for in the end",
      /terminal: no API was asked/,
      (_, job) => (job.finalAnswers = []),
    ],
    [
      "a job that never ended",
      /terminal: it never ended/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "processing" }),
    ],
    [
      "an end that is not in the events",
      /terminal: it is failed \(11\), but its last event is completed/,
      (_, job) => (job.finalAnswers[0]!.job = { ...job.finalAnswers[0]!.job!, status: "failed" }),
    ],
    ["a gap in the events", /history: event 4 has the sequence 5/, (_, job) => job.events.splice(3, 1)],
    [
      "a second end",
      /history: completed \(12\) cannot follow while the job is ended/,
      (_, job) => job.events.push(event(12, "completed", 2)),
    ],
    [
      "events after the end",
      /history: executing \(12\) cannot follow while the job is ended/,
      (_, job) => job.events.push(event(12, "executing", 2)),
    ],
    [
      "an attempt that goes back",
      /history: executing \(9\) is of attempt 1, after attempt 2/,
      (_, job) => (job.events[8] = event(9, "executing", 1)),
    ],
    [
      "a phase that goes back",
      /history: submitted \(10\) follows executing/,
      (_, job) => (job.events[9] = event(10, "submitted", 2)),
    ],
    [
      "a late word of a requeued attempt",
      /history: executing \(6\) cannot follow while the job is queued/,
      (_, job) => (job.events[5] = event(6, "executing", 1)),
    ],
    [
      "an end without a run",
      /history: completed \(2\) cannot follow while the job is queued/,
      (_, job) => job.events.splice(1, Infinity, event(2, "completed", 0)),
    ],
    [
      "an end without a run, late in a job that says it was answered from another one",
      /history: completed \(6\) cannot follow while the job is queued/,
      (_, job) => (job.events[5] = { ...event(6, "completed", 1), data: { reusedFrom: "job-0" } }),
    ],
    [
      "a history without an end",
      /history: its last event leaves it processing/,
      (_, job) => job.events.pop(),
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });

  test("nothing wrong with the events of a job that was answered from another one", () => {
    const found = violationsAfter((_, job) => {
      job.events.splice(1, Infinity, { ...event(2, "completed", 0), data: { reusedFrom: "job-0" } });
    });
    expect(found.filter((violation) => violation.startsWith("history:"))).toEqual([]);
  });
});
