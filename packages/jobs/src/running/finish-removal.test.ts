import { expect, test } from "@jest/globals";
import { type TicketReference } from "../ports/job-announcer.ts";
import { type RemovedJob } from "../ports/keeping-store.ts";
import { finishRemoval } from "./finish-removal.ts";

async function ticketsRemovedOf(job: Pick<RemovedJob, "attempt" | "ticketNumber">): Promise<string[]> {
  const removed: TicketReference[] = [];
  await finishRemoval([{ id: "job", lane: "default", keptFiles: [], ...job }], {
    tickets: {
      remove: (tickets) => {
        removed.push(...tickets);
        return Promise.resolve();
      },
    },
    storage: { removeJobs: () => Promise.resolve(), removeLeftovers: () => Promise.resolve(0) },
  });
  return removed.map(({ attempt, ticketNumber }) => `${attempt}-${ticketNumber}`);
}

test("all tickets that a job of few attempts may have had are removed, those of an attempt that never began too", async () => {
  const removed = await ticketsRemovedOf({ attempt: 2, ticketNumber: 1 });
  expect(removed.sort()).toEqual(["1-0", "1-1", "2-0", "2-1", "3-0", "3-1"]);
});

test("of a job with thousands of attempts and tickets, a bounded number of the last ones is removed", async () => {
  const removed = await ticketsRemovedOf({ attempt: 5_000, ticketNumber: 9_000 });
  expect(removed).toContain("5001-9000");
  expect(removed).toContain("5000-8999");
  expect(removed.length).toBeLessThanOrEqual(64);
});
