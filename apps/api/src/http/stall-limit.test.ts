import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import express from "express";
import { pino } from "pino";
import { StallLimit } from "./stall-limit.ts";

const wholeBytes = 12 * 1024 * 1024;
let server: Server;
let limit: StallLimit;
let logged: string[];
/** How the sending of each answer ended. */
let ends: Promise<string>[];
let client: Socket;

beforeAll(async () => {
  const app = express();
  app.get("/:what", async (request, response) => {
    const stalled = limit.watch(response);
    const isEndless = request.params.what === "endless";
    const body = Readable.from(chunks(isEndless ? Infinity : wholeBytes), { objectMode: false });
    const sent = pipeline(body, response, { signal: stalled }).then(
      () => "whole",
      () => (stalled.aborted ? "stalled" : "left"),
    );
    ends.push(sent);
    await sent;
  });
  server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
});
beforeEach(() => {
  [logged, ends] = [[], []];
});
afterEach(() => {
  client.destroy();
});
afterAll(() => {
  server.close();
});

function* chunks(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(64 * 1024);
  for (let made = 0; made < bytes; made += chunk.length) yield chunk;
}

/** Sends requests, and reads nothing yet. */
async function ask(stalledMs: number, ...paths: string[]): Promise<Socket> {
  limit = new StallLimit({ stalledMs, log: pino({}, { write: (line) => logged.push(line) }) });
  client = connect((server.address() as AddressInfo).port, "127.0.0.1").pause();
  client.on("error", () => undefined);
  client.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`).join(""));
  while (ends.length < paths.length) await once(server, "request");
  return client;
}

test("a client that reads nothing is cut off, and the log says so", async () => {
  await ask(400, "/endless");
  expect(await ends[0]).toBe("stalled");
  expect(logged.join()).toContain("took nothing");
});

test("so are answers that wait behind another one on the same connection, also when the client has left", async () => {
  const socket = await ask(400, "/endless", "/endless");
  socket.destroy();
  expect(await Promise.all(ends)).toEqual([expect.stringMatching(/left|stalled/), "stalled"]);
});

test("a client that reads slowly gets all", async () => {
  const socket = await ask(4_000, "/whole");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    socket.pause();
    void pause(25).then(() => socket.resume());
  });
  const begunAt = performance.now();
  socket.resume();
  expect(await ends[0]).toBe("whole");
  while (bytes < wholeBytes) await once(socket, "data");
  expect(performance.now() - begunAt).toBeGreaterThan(4_000);
  expect(logged).toEqual([]);
});

test("a client that waits for the server is not cut off", async () => {
  const quiet = express();
  const asked: express.Response[] = [];
  quiet.get("/", (_request, response) => {
    limit.watch(response);
    response.flushHeaders();
    asked.push(response);
  });
  const other = createServer(quiet).listen(0, "127.0.0.1");
  await once(other, "listening");
  limit = new StallLimit({ stalledMs: 100, log: pino({}, { write: (line) => logged.push(line) }) });
  const answer = await fetch(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
  await pause(500);
  asked[0]!.end("late");
  expect([await answer.text(), logged]).toEqual(["late", []]);
  other.close();
});
