import { expect, test } from "@jest/globals";
import {
  backlogMs,
  everyStep,
  hasOthers,
  perHour,
  readOverviewSearch,
  type Statistics,
  sumOf,
} from "./ends.ts";

const step = (at: string, completed: number) => ({ at, completed, failed: 1, timeout: 0, cancelled: 5 });
const statistics: Statistics = {
  since: "2026-01-01T10:00:00.000Z",
  until: "2026-01-01T10:30:00.000Z",
  stepMs: 600_000,
  steps: [step("2026-01-01T10:10:00.000Z", 3), step("2026-01-01T10:30:00.000Z", 6)],
};

test("steps in which nothing ended are drawn, too", () => {
  const steps = everyStep(statistics, statistics.steps);
  expect(steps.map(({ completed }) => completed)).toEqual([0, 3, 0, 6]);
  expect(sumOf(steps)).toEqual({ completed: 9, failed: 2, timeout: 0, cancelled: 10 });
});

test("the pace is that of jobs which ran, since the first of them, and tells how long the others take", () => {
  expect(perHour(statistics, statistics.steps)).toBe(33);
  expect(perHour(statistics, [])).toBe(0);
  expect(backlogMs(44, 22)).toBe(2 * 3_600_000);
  expect([backlogMs(0, 22), backlogMs(5, 0)]).toEqual([null, null]);
});

test("only known spans are read from the address", () => {
  expect(readOverviewSearch({ hours: "6" })).toEqual({ hours: 6 });
  expect([
    readOverviewSearch({ hours: 7 }),
    readOverviewSearch({ hours: {} }),
    readOverviewSearch({}),
  ]).toEqual([{}, {}, {}]);
});

test("the chart of all tenants is shown only where it differs from one's own", () => {
  expect(hasOthers(statistics)).toBe(false);
  expect(hasOthers({ ...statistics, allTenants: statistics.steps })).toBe(false);
  const others = [...statistics.steps, step("2026-01-01T10:20:00.000Z", 1)];
  expect(hasOthers({ ...statistics, allTenants: others })).toBe(true);
});
