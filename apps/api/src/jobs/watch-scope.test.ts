import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import {
  BatchRemovedError,
  CursorTooOldError,
  EventFeed,
  eventSignal,
  type JobEvent,
  type JobSignal,
  StoreUnavailableError,
} from "@genga/jobs";
import express from "express";
import { EventStream } from "../http/event-stream.ts";
import { type EventView } from "./job-view.ts";
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

type Tell = (event: JobEvent) => void;

/**
 * A feed of a store in which nothing happens but what is told live, by the function that `onOpen` is given; or its events are
 * removed before they are read, by the other one.
 */
function quietFeed(onOpen: (tell: Tell, skip: () => void) => void = () => undefined): EventFeed {
  let isSkipped = false;
  const told: JobEvent[] = [];
  return new EventFeed({
    signals: {
      subscribe: (_, listener, onMissed) => {
        const tell: Tell = (event) => {
          told.push(event);
          const of = { batchId: "batch", tenantId: "tenant", status: "completed" as const };
          (listener as (signal: JobSignal) => void)(eventSignal(event, of));
        };
        onOpen(tell, () => {
          isSkipped = true;
          onMissed?.();
        });
        return Promise.resolve(() => undefined);
      },
      publish: () => undefined,
    },
    reader: {
      findLastPosition: () => Promise.resolve(5n),
      listPlaced: (of) => {
        if (!isSkipped || of === "all") return Promise.resolve({ events: [], upTo: 5n });
        isSkipped = false;
        return Promise.reject(new CursorTooOldError(5n, 9n));
      },
      listUnread: (_, { jobId, afterSequence }) =>
        Promise.resolve(told.filter((event) => event.jobId === jobId && event.sequence > afterSequence)),
      hasNewsAfter: () => Promise.resolve(false),
    },
    sequencer: { assignPositions: () => Promise.resolve({ events: 0, deliveries: 0, mayBeMore: false }) },
    onError: () => undefined,
  });
}

const watched = {
  scope: { tenantId: "t" },
  countOpen: () => Promise.resolve(Infinity),
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

test("the stream of a batch looks for its end when as many jobs have ended as were open, and not before", async () => {
  let open = 3;
  const { tell, hear, reader, seen } = await openBatch(() => Promise.resolve(open));
  await hear('{"open":3}');
  const [last, ...others] = [randomUUID(), randomUUID(), randomUUID()];
  for (const jobId of others) {
    tell(endOf(jobId));
    await hear(`{"jobId":"${jobId}"}`);
  }
  expect(seen.looks).toBe(1);
  open = 0;
  tell(endOf(last));
  await hear('{"open":0}');
  expect(seen.looks).toBe(2);
  expect((await reader.read()).done).toBe(true);
});

/** A stream of a batch whose jobs are counted by `countOpen`, read once they were counted for the first time. */
async function openBatch(countOpen: () => Promise<number>) {
  let tell: Tell = () => undefined;
  let skip = (): void => undefined;
  const feed = quietFeed((...given) => ([tell, skip] = given));
  const seen = { looks: 0 };
  let counted: () => void = () => undefined;
  const isCounted = new Promise<void>((resolve) => (counted = resolve));
  const batch = {
    ...watched,
    scope: { batchId: "batch" },
    snapshot: async () => ({ open: await countOpen() }),
    countOpen: () => {
      seen.looks += 1;
      counted();
      return countOpen();
    },
    viewOfEvent: ({ jobId }: JobEvent) => Promise.resolve({ jobId } as unknown as EventView),
  };
  answer = (response) =>
    watchScope(new EventStream(response, new AbortController().signal), feed, batch, { cursor: null, times });
  const { body } = await fetch(url);
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  const hear = async (text: string): Promise<void> => {
    while (!heard.includes(text)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`The stream ended before ${text}: ${heard}`);
      heard += value;
    }
  };
  await isCounted;
  return { tell, skip, hear, reader, seen };
}

test("the stream of a batch finds its end also if it had to skip the ends of some jobs", async () => {
  let open = 3;
  const { tell, skip, hear } = await openBatch(() => Promise.resolve(open));
  open = 1;
  skip();
  await hear('{"open":1}');
  open = 0;
  tell(endOf(randomUUID()));
  await hear('{"open":0}');
});

test("a stream that goes on after its batch tells the removal of the batch soon after the end of a job", async () => {
  let isRemoved = false;
  const { tell, hear } = await openBatch(() =>
    isRemoved ? Promise.reject(new BatchRemovedError("batch")) : Promise.resolve(Infinity),
  );
  isRemoved = true;
  tell(endOf(randomUUID()));
  await hear("event: removed");
});

function endOf(jobId: string): JobEvent {
  return { jobId, sequence: 1, type: "completed", attempt: 1, data: {}, createdAt: new Date() };
}
