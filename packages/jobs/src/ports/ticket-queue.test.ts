import { expect, test } from "@jest/globals";
import { ticketId } from "./ticket-queue.ts";

test("a ticket's id is neither a number nor holds a colon, which BullMQ refuses", () => {
  const ticket = { jobId: "0190aaaa-0000-7000-8000-000000000000", attempt: 2 };
  expect(ticketId({ ...ticket, ticketNumber: 0 })).toBe("0190aaaa-0000-7000-8000-000000000000-2");
  expect(ticketId({ ...ticket, ticketNumber: 3 })).toBe("0190aaaa-0000-7000-8000-000000000000-2-3");
});
