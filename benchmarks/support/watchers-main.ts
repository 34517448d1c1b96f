/**
 * Watchers of jobs over server-sent events, in a process of their own: each watches one job, over a connection of its own.
 * Reports how old each told step was when it arrived (`paced-servers-main.ts` says what a step's number means).
 *
 * Reads from its parent: `{ urls, epoch }` opens the streams, and `"read"` answers with what was received since the last
 * `"read"`, as counts by whole milliseconds.
 */
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

const requestSchema = z.union([
  z.literal("read"),
  z.object({ urls: z.array(z.string()), epoch: z.number() }),
]);

const connectingAtOnce = 20;

/** How many progress events arrived after so many milliseconds. */
let agesMs = new Map<number, number>();
/** Progress events of each watcher. */
let received = new Map<number, number>();
let ended = 0;

class RefusedStream extends Error {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** As clients do: an API that has no room for the moment is asked again after the time that it says. */
async function watchInTheEnd(url: string, index: number, epoch: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await watch(url, index, epoch);
      return;
    } catch (error) {
      if (!(error instanceof RefusedStream) || attempt === 10) throw error;
      await delay(error.retryAfterMs);
    }
  }
}

function watch(url: string, index: number, epoch: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      if (response.statusCode !== 200) {
        response.resume();
        const seconds = Number(response.headers["retry-after"] ?? 1);
        reject(new RefusedStream(`${url}: ${response.statusCode ?? 0}`, seconds * 1_000));
        return;
      }
      let rest = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        const now = performance.timeOrigin + performance.now() - epoch;
        resolve();
        const blocks = (rest + chunk).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) note(block, index, now);
      });
      response.on("end", () => {
        ended += 1;
        // Without effect once something has come.
        reject(new Error(`${url}: the stream ended before it said anything`));
      });
    });
    request.on("error", reject);
  });
}

function note(block: string, index: number, now: number): void {
  if (!block.startsWith("event: progress")) return;
  const step = /"step":(\d+)/.exec(block)?.[1];
  // Nodes that only begin and end say nothing of the time.
  if (step === undefined || Number(step) < 2) return;
  const ageMs = Math.max(0, Math.round(now - Number(step)));
  agesMs.set(ageMs, (agesMs.get(ageMs) ?? 0) + 1);
  received.set(index, (received.get(index) ?? 0) + 1);
}

/** In groups: a tenant has only so many requests at once. */
async function watchAll(urls: readonly string[], epoch: number): Promise<void> {
  for (let from = 0; from < urls.length; from += connectingAtOnce) {
    const group = urls.slice(from, from + connectingAtOnce);
    await Promise.all(group.map((url, index) => watchInTheEnd(url, from + index, epoch)));
  }
}

process.on("message", (message) => {
  const request = requestSchema.parse(message);
  if (request === "read") {
    process.send?.({ type: "read", agesMs: [...agesMs], received: [...received.values()], ended });
    agesMs = new Map();
    received = new Map();
    return;
  }
  watchAll(request.urls, request.epoch).then(
    () => process.send?.({ type: "watching" }),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.once("SIGTERM", () => process.exit(0));
