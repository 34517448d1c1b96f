import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter } from "./forgery.ts";
import { event } from "./true-history.ts";

describe("accepted requests: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "an accepted cancel that nobody noted",
      /requests: a cancel-batch that was accepted .* left no trace/,
      (_, job) => {
        for (const each of job.events) each.createdAt += 10_000;
        job.requests = [{ kind: "cancel-batch", at: 2_000, endedAt: 2_100, httpStatus: 202 }];
      },
    ],
    [
      "a job that began again after its cancel request",
      /requests: requeued \(6\) came after its cancel request/,
      (_, job) => {
        job.events.splice(4, 0, event(5, "cancel_requested", 1));
        for (const [index, each] of job.events.entries()) each.sequence = index + 1;
      },
    ],
    [
      "a job that completed in spite of its cancel request, and does not say so",
      /requests: it completed after its cancel request/,
      (_, job) => (job.events[9] = event(10, "cancel_requested", 2)),
    ],
    [
      "a job that a server got while it was paused",
      /requests: it was claimed \(3\) while it was paused/,
      (_, job) => job.events.splice(1, 1, event(2, "paused", 0), event(3, "claimed", 1)),
    ],
    [
      "a job of a paused batch that was queued again and claimed",
      /requests: it was claimed \(6\) while it was paused/,
      (_, job) => (job.events[4]!.data = { paused: true }),
    ],
    [
      "an accepted retry of a batch that left a failed job as it was",
      /requests: a retry-batch that was accepted .* did not queue it again/,
      (_, job) => {
        job.events = [event(1, "accepted", 0), event(2, "claimed", 1), event(3, "failed", 1)];
        job.requests = [{ kind: "retry-batch", at: 2_000, endedAt: 2_100, httpStatus: 202 }];
      },
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });
});
