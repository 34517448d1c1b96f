import { setTimeout as sleep } from "node:timers/promises";
import { type ApiClient } from "@genga/testing";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";
import { chainOf } from "./paced-servers.ts";

const batchSize = 1_000;
const nodesOfGraph = 4;
const dayMs = 86_400_000;
/** Jobs that wait, so that a server that becomes free has the next one. */
const waiting = 10;
const feedMs = 1_000;

const queueSchema = z.object({ counts: z.record(z.string(), z.number()) });

/** Jobs that wait for tomorrow. */
export async function submitScheduled(api: ApiClient, jobs: number): Promise<void> {
  const runAt = new Date(Date.now() + dayMs).toISOString();
  for (let from = 0; from < jobs; from += batchSize) {
    const batch = Array.from({ length: Math.min(batchSize, jobs - from) }, (_, index) => ({
      ...{ type: "workflow", workflow: chainOf(nodesOfGraph, from + index), runAt },
      ...{ project: "harbour", scene: `scene ${from / batchSize}`, shot: String(index), tags: ["night"] },
    }));
    await api.submitBatch(batch);
  }
}

/**
 * Submits a job for each that ends, so that so many always run.
 * @returns once that many run; `check` throws if that failed later
 */
export async function keepRunning(
  api: ApiClient,
  running: number,
): Promise<{ check: () => void; stop: () => Promise<void> }> {
  const countsNow = async (): Promise<Record<string, number>> => {
    const response = await api.request("GET", "queue");
    return queueSchema.parse(await response.json()).counts;
  };
  const ended = ({ completed = 0, failed = 0 }: Record<string, number>): number => completed + failed;
  let submitted = 0;
  const feed = async (): Promise<Record<string, number>> => {
    const counts = await countsNow();
    if ((counts["failed"] ?? 0) > 0) throw new Error("A job has failed.");
    const missing = running + waiting - (submitted - ended(counts));
    if (missing > 0) {
      const graphs = Array.from({ length: missing }, (_, index) =>
        chainOf(nodesOfGraph, 1_000_000 + submitted + index),
      );
      await api.submitBatch(graphs.map((workflow) => ({ type: "workflow", workflow, project: "running" })));
      submitted += missing;
    }
    return counts;
  };
  while (((await feed())["processing"] ?? 0) < running) await sleep(200);
  const over = new AbortController();
  let failure: unknown;
  const feeding = (async () => {
    while (!over.signal.aborted) {
      await sleep(feedMs, undefined, { signal: over.signal }).catch(() => undefined);
      await feed();
    }
  })().catch((error: unknown) => (failure = error));
  return {
    check: () => {
      if (failure !== undefined) throw new Error("The jobs do not move any more.", { cause: failure });
    },
    stop: async () => {
      over.abort();
      await feeding;
    },
  };
}

/** How many events of progress a client of the tenant's stream receives. */
export async function progressPerSecond(url: string, seconds: number): Promise<number> {
  const response = await fetch(`${url}/api/anime/events`);
  if (response.body === null) throw new Error(`The stream is answered with ${response.status}.`);
  const messages = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  let steps = 0;
  let startedAt: number | undefined;
  for await (const { event } of messages) {
    startedAt ??= performance.now();
    if (event === "progress") steps += 1;
    // Leaving the loop closes the stream.
    if (performance.now() - startedAt > seconds * 1_000) break;
  }
  return steps / seconds;
}
