import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter } from "./forgery.ts";

describe("what event streams told: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "an event that a reader who came back never saw",
      /stream: event 7 was streamed after 5/,
      (_, job) => job.streams[1]!.splice(1, 1),
    ],
    [
      "an event that a reader who came back saw again",
      /stream: event 5 was streamed after 5/,
      (_, job) => (job.streams[1]![1]!.sequence = 5),
    ],
    [
      "progress that a reader who came back saw fall",
      /stream: progress: progress fell from 10 to 5 in attempt 2/,
      (_, job) => {
        job.streams[1]!.splice(0, 1);
        job.streams[1]![2]!.percent = 5;
      },
    ],
    [
      "a streamed event that is missing",
      /stream: event 6 was streamed after 4/,
      (_, job) => (job.streams[0]![2]!.sequence = 6),
    ],
    [
      "streamed progress that falls",
      /stream: progress: progress fell from 60 to 20 in attempt 1/,
      (_, job) => job.streams[0]!.push({ at: 0, event: "progress", sequence: null, attempt: 1, percent: 20 }),
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });
});
