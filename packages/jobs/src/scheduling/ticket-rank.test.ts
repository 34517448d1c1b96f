import { expect, test } from "@jest/globals";
import { jobPriorities } from "../job/job.ts";
import { bandPriorities, baseFor, rankWindow, readTicketPriority, ticketPriority } from "./ticket-rank.ts";

test("a ticket's priority puts bands before ranks and stays within BullMQ's range", () => {
  const all = jobPriorities.flatMap((priority) =>
    [0, 1, rankWindow / 2, rankWindow - 1].map((rank) => ticketPriority(priority, rank)),
  );
  expect([...all].sort((one, other) => one - other)).toEqual(all);
  expect(new Set(all).size).toBe(all.length);
  expect(Math.min(...all)).toBe(1);
  expect(Math.max(...all)).toBeLessThanOrEqual(2 ** 21);
  expect(ticketPriority("high", 0)).toBeGreaterThan(ticketPriority("urgent", 2 ** 40));
});

test("a ticket's priority tells the band that it waits in, the job's own band, and the rank", () => {
  for (const [band, priority] of jobPriorities.entries()) {
    for (let agedBands = 0; agedBands <= band; agedBands += 1) {
      for (const rank of [0, 17, rankWindow - 1]) {
        expect(readTicketPriority(ticketPriority(priority, rank, agedBands))).toEqual({
          band: band - agedBands,
          ownBand: band,
          rank,
        });
      }
    }
  }
  expect(readTicketPriority(ticketPriority("low", 2 ** 40))).toEqual({
    band: 3,
    ownBand: 3,
    rank: rankWindow - 1,
  });
});

test("the priorities of a band hold all of its tickets, and no others", () => {
  expect(bandPriorities(0).first).toBe(1);
  for (const [band, priority] of jobPriorities.entries()) {
    const { first, last } = bandPriorities(band);
    expect(ticketPriority(priority, 0)).toBe(first);
    expect(ticketPriority(priority, 2 ** 40)).toBeLessThanOrEqual(last);
    if (band > 0) expect(ticketPriority(priority, rankWindow, 1)).toBeLessThan(first);
  }
});

test("the base follows the clock by half windows, so that the clock stays in the lower half", () => {
  const half = rankWindow / 2;
  expect(baseFor(half - 1, 0)).toBe(0);
  expect(baseFor(half, 0)).toBe(half);
  expect(baseFor(7 * half + 5, half)).toBe(7 * half);
  for (const clock of [0, 1, half, 3 * half + 1, 2 ** 30]) {
    expect(clock - baseFor(clock, 0)).toBeLessThan(half);
  }
});
