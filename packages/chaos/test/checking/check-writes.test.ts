import { describe, expect, test } from "@jest/globals";
import { type Forgery, violationsAfter, violationsOf } from "./forgery.ts";
import { cancelledHistory, row, write } from "./true-history.ts";

describe("writes to a job's row: the check finds", () => {
  const forgeries: Forgery[] = [
    [
      "a write of a worker that lost its lease",
      /stale-write: another process wrote under the lease of worker-2/,
      (history) => (history.writes[6]!.process = "worker-1"),
    ],
    [
      "an end written by a worker that lost its lease",
      /stale-write: another process wrote under the lease of worker-2/,
      (history) => (history.writes[7]!.process = "worker-1"),
    ],
    [
      "a lease that was taken too early",
      /stale-write: the lease was taken before it had run out/,
      (history) => (history.writes[5]!.wasLeaseExpired = false),
    ],
    [
      "a lease number that goes back",
      /stale-write: the lease number went back/,
      (history) => (history.writes[6]!.after.leaseNumber = 1),
    ],
    [
      "a take-over without a new lease number",
      /stale-write: another process wrote under the lease of worker-1/,
      (history) => (history.writes[5]!.after.leaseNumber = 2),
    ],
    [
      "progress that goes back in the row",
      /stale-write: progress went back/,
      (history) => (history.writes[6]!.before = row({ ...history.writes[6]!.before, percent: 90 })),
    ],
    [
      "a write to a job that has ended",
      /stale-write: an ended job was changed/,
      (history) => {
        const ended = history.writes[7]!.after;
        history.writes.push(
          write(9_500, "worker-1", ended, row({ ...ended, status: "failed", sequence: 12 })),
        );
      },
    ],
  ];

  test.each(forgeries)("%s", (_what, found, forge) => {
    expect(violationsAfter(forge)).toContainEqual(expect.stringMatching(found));
  });

  test("a cancel request that changes more than it may", () => {
    const history = cancelledHistory();
    history.writes[0]!.after.percent = 90;
    expect(violationsOf(history)).toContainEqual(
      expect.stringMatching(/stale-write: another process wrote under the lease of worker-1/),
    );
  });
});
