import { expect, test } from "@jest/globals";
import { waitedMs } from "./run-metrics.ts";

test("a job has waited since its ticket was noted, and not at all if it was claimed before that", () => {
  const hourAgo = new Date(Date.now() - 3_600_000);
  // An old job whose dependency or `runAt` let it run only now.
  const claimedAtOnce = { attempt: 1, enqueuedAt: null, createdAt: hourAgo };
  expect(waitedMs(claimedAtOnce)).toBe(0);
  expect(waitedMs({ attempt: 2, enqueuedAt: null })).toBeNull();
  expect(waitedMs({ attempt: 1, enqueuedAt: hourAgo })).toBeGreaterThanOrEqual(3_600_000);
  expect(waitedMs({ attempt: 1, enqueuedAt: new Date(Date.now() + 3_600_000) })).toBe(0);
});
