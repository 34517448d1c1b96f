import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { EventFeed, StoreUnavailableError } from "@genga/jobs";
import express from "express";
import { EventStream } from "../http/event-stream.ts";
import { watchScope } from "./watch-scope.ts";

let server: Server;
let url: string;
let answer: (response: express.Response) => Promise<void>;

beforeEach(async () => {
  const app = express();
  app.get("/", (_, response) => answer(response));

  server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

/** A feed of a store in which nothing happens. */
function quietFeed(): EventFeed {
  return new EventFeed({
    signals: { subscribe: () => Promise.resolve(() => undefined), publish: () => undefined },
    reader: {
      findLastPosition: () => Promise.resolve(5n),
      listPlaced: () => Promise.resolve({ events: [], upTo: 5n }),
      listUnread: () => Promise.resolve([]),
      hasNewsAfter: () => Promise.resolve(false),
    },
    sequencer: { assignPositions: () => Promise.resolve({ events: 0, deliveries: 0, mayBeMore: false }) },
    onError: () => undefined,
  });
}

const watched = {
  scope: { tenantId: "t" },
  isDone: () => Promise.resolve(false),
  wanted: (jobIds: ReadonlySet<string>) => Promise.resolve(jobIds),
  wantsType: () => true,
  wantsProgress: true,
  viewOfEvent: () => Promise.reject(new Error("There are no events.")),
};
const times = { heartbeatMs: 15_000, lookMinMs: 10, lookMaxMs: 60_000 };

test("a stream begins with its snapshot, also if the database did not answer at first", async () => {
  let tries = 0;
  const snapshot = (): Promise<unknown> => {
    tries += 1;
    if (tries === 1) return Promise.reject(new StoreUnavailableError(new Error("away")));
    return Promise.resolve({ tries });
  };
  answer = (response) =>
    watchScope(
      new EventStream(response, new AbortController().signal),
      quietFeed(),
      { ...watched, snapshot },
      // A quiet stream would begin with the first sign that it is alive.
      { cursor: null, times: { ...times, heartbeatMs: 500 } },
    );
  const leaving = new AbortController();
  const { body } = await fetch(url, { signal: leaving.signal });
  const { value } = await body!.pipeThrough(new TextDecoderStream()).getReader().read();
  expect(value).toBe('event: snapshot\nid: 5\ndata: {"tries":2}\n\n');
  leaving.abort();
});

test("a stream whose client left before it was opened is closed, and follows nothing", async () => {
  const feed = quietFeed();
  const leaving = new AbortController();
  const left = new Promise<boolean>((resolve) => {
    answer = async (response) => {
      const closed = once(response, "close");
      leaving.abort();
      await closed;
      const stream = new EventStream(response, new AbortController().signal);
      await watchScope(
        stream,
        feed,
        { ...watched, snapshot: () => Promise.resolve({}) },
        { cursor: null, times },
      );
      resolve(stream.closed.aborted);
    };
  });
  await expect(fetch(url, { signal: leaving.signal })).rejects.toThrow();
  expect(await left).toBe(true);
  expect(feed.size).toBe(0);
});
