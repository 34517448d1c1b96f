import { describe, expect, test } from "@jest/globals";
import { isTerminal, mayAdvance, mayBecome, mayBeRetried } from "./job-states.ts";
import { jobStatuses } from "./job.ts";

describe("the job state machine", () => {
  test("allows exactly the transitions of the contract", () => {
    const arrows = jobStatuses.flatMap((from) =>
      jobStatuses.filter((to) => mayBecome(from, to)).map((to) => `${from} → ${to}`),
    );
    expect(arrows.sort()).toEqual(
      [
        "queued → processing",
        "queued → cancelled",
        "queued → failed",
        "queued → timeout",
        "processing → queued",
        "processing → completed",
        "processing → failed",
        "processing → timeout",
        "processing → cancelled",
        "failed → queued",
        "timeout → queued",
        "cancelled → queued",
      ].sort(),
    );
  });

  test("never leaves completed", () => {
    expect(jobStatuses.filter((to) => mayBecome("completed", to))).toEqual([]);
  });

  test("allows a retry of jobs that ended without success", () => {
    expect(jobStatuses.filter(mayBeRetried)).toEqual(["failed", "timeout", "cancelled"]);
  });

  test("counts four statuses as ended", () => {
    expect(jobStatuses.filter(isTerminal)).toEqual(["completed", "failed", "timeout", "cancelled"]);
  });

  test("lets a phase only go forward", () => {
    expect(mayAdvance("waiting", "submitted")).toBe(true);
    expect(mayAdvance("submitted", "saving")).toBe(true);
    expect(mayAdvance("executing", "submitted")).toBe(false);
    expect(mayAdvance("saving", "saving")).toBe(false);
  });
});
