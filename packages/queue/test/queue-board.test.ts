import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Queue } from "bullmq";
import express from "express";
import { ticketId } from "@genga/jobs";
import { createQueueBoard, createTicketQueue, type BullTicketQueue, type QueueBoard } from "@genga/queue";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { announce, freshPrefix, recordingLogger, testRedisUrl } from "./test-redis.ts";

const basePath = "/admin/queues";
let server: Server;
let board: QueueBoard;
let proxy: TcpProxy;
let tickets: BullTicketQueue;
let url: string;
let prefix: string;

beforeEach(async () => {
  prefix = freshPrefix();
  proxy = await startTcpProxy({ targetUrl: testRedisUrl() });
  const logger = recordingLogger();
  tickets = createTicketQueue({ redisUrl: testRedisUrl(), prefix, logger });
  board = createQueueBoard({
    redisUrl: proxy.url,
    prefix,
    basePath,
    jobPageOf: (jobId) => `/jobs/${encodeURIComponent(jobId)}`,
    logger,
  });
  server = createServer(express().disable("x-powered-by").use(basePath, board.router));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${basePath}`;
  await untilOk(`${url}/api/queues`);
});

afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await board.close();
  await tickets.close();
  await proxy.close();
});

/** The board connects in the background. */
async function untilOk(address: string): Promise<Response> {
  const startedAt = performance.now();
  for (;;) {
    const response = await fetch(address);
    if (response.ok || performance.now() - startedAt > 5000) return response;
    await response.arrayBuffer();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("shows tickets with progress, lines and reasons", async () => {
  await tickets.add([announce({ rank: 1 }), announce({ rank: 2 })]);
  const [held] = await tickets.take("default", 1);
  tickets.report(held!, { percent: 12, line: "loading counterfeit_v3" });
  await tickets.finish(held!, { kind: "failed", reason: "the node KSampler raised" });

  const page = await fetch(url);
  expect(page.headers.get("content-type")).toMatch("text/html");
  expect(page.headers.get("content-security-policy")).toMatch("default-src 'self'");
  expect(page.headers.get("x-powered-by")).toBeNull();
  expect(await page.text()).toMatch("Genga tickets");
  const failed = await fetch(`${url}/api/queues?activeQueue=default&status=failed&page=1&jobsPerPage=10`);
  const listing = JSON.stringify(await failed.json());
  expect(listing).toMatch(ticketId(held!));
  expect(listing).toMatch("the node KSampler raised");
  expect(listing).toMatch('"progress":12');
  expect(listing).toMatch('"readOnlyMode":true');
  expect(listing).toMatch(`"externalUrl":{"href":"/jobs/${held!.jobId}","displayText":"Its job"}`);
  const logs = await fetch(`${url}/api/queues/default/${ticketId(held!)}/logs`);
  expect(await logs.json()).toEqual(["loading counterfeit_v3"]);
});

test("what another program added to a lane is shown without a link", async () => {
  await tickets.add([announce({ rank: 1 })]);
  const foreign = new Queue("default", { connection: { url: testRedisUrl() }, prefix });
  await foreign.add("odd", { jobId: "javascript:alert(1)", attempt: 1, ticketNumber: 1 }, { jobId: "odd" });
  await foreign.close();
  const list = await fetch(`${url}/api/queues?activeQueue=default&status=latest&page=1&jobsPerPage=10`);
  const { queues } = (await list.json()) as { queues: { jobs: { id: string; externalUrl?: unknown }[] }[] };
  const jobs = queues.flatMap(({ jobs: shown }) => shown);
  expect(jobs.find(({ id }) => id === "odd")).toMatchObject({ name: "odd" });
  expect(jobs.filter(({ externalUrl }) => externalUrl !== undefined)).toHaveLength(1);
});

test("shows cancelled, requeued and dropped tickets as what they are, and completed ones at 100 %", async () => {
  await tickets.add([1, 2, 3, 4].map((rank) => announce({ rank })));
  const [done, cancelled, requeued, dropped] = await tickets.take("default", 4);
  tickets.report(done!, { percent: 97, line: "saving" });
  tickets.report(cancelled!, { percent: 40 });
  await tickets.finish(done!, { kind: "completed" });
  await tickets.finish(cancelled!, { kind: "cancelled" });
  await tickets.finish(requeued!, { kind: "requeued", reason: "its server went silent" });
  await tickets.finish(dropped!, { kind: "dropped", reason: "its job wanted no work any more" });

  const listOf = async (status: string): Promise<unknown> => {
    const list = await fetch(`${url}/api/queues?activeQueue=default&status=${status}&page=1&jobsPerPage=10`);
    const { queues } = (await list.json()) as { queues: { name: string; jobs: unknown[] }[] };
    return queues.find(({ name }) => name === "default")?.jobs;
  };
  expect(await listOf("failed")).toEqual([]);
  const shown = (ticket: typeof done, name: string, more: object): unknown =>
    expect.objectContaining({ id: ticketId(ticket!), name: expect.stringMatching(name) as unknown, ...more });
  expect(await listOf("completed")).toEqual(
    expect.arrayContaining([
      shown(done, "^[a-z]+$", { progress: 100, returnValue: null }),
      shown(cancelled, "^[a-z]+ \\(cancelled\\)$", { progress: 40, returnValue: "cancelled" }),
      shown(requeued, "^[a-z]+ \\(requeued\\)$", { returnValue: "requeued: its server went silent" }),
      shown(dropped, "^[a-z]+ \\(dropped\\)$", { returnValue: "dropped: its job wanted no work any more" }),
    ]),
  );
});

test("shows lanes that came after its start, who takes tickets, and nobody else", async () => {
  const worker = createTicketQueue({
    ...{ redisUrl: testRedisUrl(), prefix, logger: recordingLogger(), consumerName: "worker 7" },
  });
  await tickets.add([announce({ lane: "counterfeit" })]);
  await worker.take("counterfeit", 1);
  const workersOf = async (lane: string): Promise<unknown> => {
    const response = await fetch(`${url}/api/queues/${lane}/workers`);
    return response.ok ? await response.json() : null;
  };
  const isShown = async (): Promise<boolean> =>
    JSON.stringify(await workersOf("counterfeit")).includes("worker-7");
  const startedAt = performance.now();
  while (!(await isShown()) && performance.now() - startedAt < 8_000) await new Promise(setImmediate);
  expect(await workersOf("counterfeit")).toEqual({
    workers: [expect.objectContaining({ name: "worker-7" })],
  });
  const { queues } = (await (await fetch(`${url}/api/queues`)).json()) as { queues: { name: string }[] };
  await worker.close();
  expect(queues.map(({ name }) => name).toSorted()).toEqual(["counterfeit", "default"]);
});

test.each([
  ["PUT", "/api/queues/default/clean/completed"],
  ["PUT", "/api/queues/default/pause"],
  ["PUT", "/api/queues/default/empty"],
  ["PUT", "/api/queues/default/x-1/retry/failed"],
  ["PUT", "/api/queues/default/obliterate"],
  ["POST", "/api/queues/default/add"],
  ["DELETE", "/api/queues/default/x-1"],
])("refuses to change anything: %s %s", async (method, path) => {
  const response = await fetch(url + path, { method });
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe("GET, HEAD");
  expect(await response.json()).toMatchObject({ code: "method-not-allowed" });
});

test("answers 503 while Redis is away and works again afterwards", async () => {
  await proxy.cut();
  const away = await fetch(url);
  expect(away.status).toBe(503);
  expect(away.headers.get("content-type")).toMatch("application/problem+json");
  expect(await away.json()).toMatchObject({ status: 503, code: "tickets-unavailable" });
  await proxy.restore();
  expect((await untilOk(`${url}/api/queues`)).status).toBe(200);
});
