import { expect, test } from "@jest/globals";
import { lanesOf, obstacles } from "./waiting-lanes.ts";

type Queue = Parameters<typeof lanesOf>[0];

const lane = (name: string, queued: number) => ({ lane: name, queued, processing: 1 });
const own = {
  counts: { queued: 3, processing: 0, completed: 0, failed: 0, timeout: 0, cancelled: 0 },
  lanes: [lane("a", 1), lane("b", 2)],
  oldestQueuedAt: null,
  pausedSince: null,
} satisfies Queue;
const server = { total: 2, online: 1, unowned: 0, retired: 0, slots: 2, jobsHeld: 0 };

test("lanes with the most waiting jobs come first; operators see those of all tenants", () => {
  expect(lanesOf(own).map((each) => each.lane)).toEqual(["b", "a"]);
  const { counts, oldestQueuedAt } = own;
  const all: Queue = { ...own, allTenants: { counts, oldestQueuedAt, lanes: [lane("c", 9)] } };
  expect(lanesOf(all)).toEqual([{ lane: "c", queued: 9, processing: 1, outlook: undefined }]);
});

test("says what keeps everything from beginning, and nothing while nothing does or nothing waits", () => {
  expect(obstacles(own)).toEqual([]);
  expect(obstacles({ ...own, servers: server, workers: { alive: 1, withoutRoom: 0 } })).toEqual([]);
  const stopped = {
    ...{ ...own, pausedSince: "2026-01-01T00:00:00Z", workers: { alive: 0, withoutRoom: 0 } },
    servers: { ...server, online: 0 },
  };
  expect(obstacles(stopped).map((text) => text.split(/[.:;]/)[0])).toEqual([
    "The farm is paused",
    "No worker is alive",
    "No server is online",
  ]);
  expect(obstacles({ ...stopped, counts: { ...own.counts, queued: 0 } })).toEqual([]);
});
