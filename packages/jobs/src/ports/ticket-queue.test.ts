import { expect, test } from "@jest/globals";
import { ticketId } from "./ticket-queue.ts";

test("a ticket's id is neither a number nor holds a colon, which BullMQ refuses", () => {
  expect(ticketId({ jobId: "0190aaaa-0000-7000-8000-000000000000", attempt: 2 })).toBe(
    "0190aaaa-0000-7000-8000-000000000000-2",
  );
});
