import { expect, test } from "@jest/globals";
import { ticketId, ticketPriority } from "./ticket-queue.ts";
import { jobPriorities } from "../job/job.ts";

test("a ticket's priority puts bands before ranks and stays within BullMQ's range", () => {
  const all = jobPriorities.flatMap((priority) =>
    [0, 1, 2 ** 17, 2 ** 18 - 1, 2 ** 30].map((rank) => ticketPriority(priority, rank)),
  );
  expect([...all].sort((one, other) => one - other)).toEqual(all);
  expect(Math.min(...all)).toBe(1);
  expect(Math.max(...all)).toBeLessThanOrEqual(2 ** 21);
  expect(ticketPriority("high", 0)).toBeGreaterThan(ticketPriority("urgent", 2 ** 30));
});

test("a ticket's id is neither a number nor holds a colon, which BullMQ refuses", () => {
  expect(ticketId({ jobId: "0190aaaa-0000-7000-8000-000000000000", attempt: 2 })).toBe(
    "0190aaaa-0000-7000-8000-000000000000-2",
  );
});
