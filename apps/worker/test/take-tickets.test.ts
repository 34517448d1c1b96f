import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Announcement, type HeldTicket, type JobPriority } from "@genga/jobs";
import { type BullTicketQueue, createTicketQueue } from "@genga/queue";
import { startTcpProxy, type TcpProxy, testServiceUrl } from "@genga/testing";
import { pino } from "pino";
import { takeTickets } from "../src/tickets/take-tickets.ts";

// Two workers take tickets of one lane. The first one's connection to Redis can fail.

const lane = "checkpoint";
const log = pino({ enabled: false });
const redisUrl = testServiceUrl("TEST_REDIS_URL");
let proxy: TcpProxy;
let tickets: BullTicketQueue;
let others: BullTicketQueue;

beforeAll(async () => {
  proxy = await startTcpProxy({ targetUrl: redisUrl });
  const queue = { prefix: `test-${randomUUID().slice(0, 8)}`, lockMs: 5_000, logger: log };
  tickets = createTicketQueue({ ...queue, redisUrl: proxy.url });
  others = createTicketQueue({ ...queue, redisUrl });
});
afterAll(async () => {
  await tickets.close();
  await others.close();
  await proxy.close();
});

const announce = (priority: JobPriority): Announcement => ({
  ...{ jobId: randomUUID(), attempt: 1, ticketNumber: 0, type: "image", lane, priority },
  ...{ agedBands: 0, rank: 0 },
});

test("a ticket is used although another one, taken together with it, could not be given back, and that one waits again", async () => {
  const [urgent, normal] = [announce("urgent"), announce("normal")];
  await others.add([urgent, normal]);
  const breaking = {
    take: async (from: string, count: number): Promise<HeldTicket[]> => {
      const taken = await tickets.take(from, count);
      await proxy.cut();
      return taken;
    },
    priorityOf: (ticket: HeldTicket) => tickets.priorityOf(ticket),
    giveBack: (...given: Parameters<typeof tickets.giveBack>) => tickets.giveBack(...given),
  };
  // Two places of a server that would leave its model, for which jobs of high priority wait, only for what is urgent.
  const take = { reason: "urgent" as const, keptBand: 1 };
  const used = await takeTickets(lane, [take, take], { tickets: breaking, log });
  expect(used.map(({ jobId }) => jobId)).toEqual([urgent.jobId]);
  await proxy.restore();
  let again: HeldTicket[] = [];
  for (; again.length === 0; again = await others.take(lane, 1)) await sleep(50);
  expect(again.map(({ jobId }) => jobId)).toEqual([normal.jobId]);
  await tickets.giveBack(used[0]!, { delayMs: 0 });
});
