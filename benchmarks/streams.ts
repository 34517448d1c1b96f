/**
 * What live streams cost the API that serves them: many idle streams of all of a tenant's work, and one stream of a
 * large batch while the batch is accepted and runs. Memory and processor time are those of the API process alone.
 *
 * npm run bench:streams [-- --streams 1000 --jobs 10000 --servers 64 --seconds 20]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient } from "@genga/testing";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";
import { startNullFarm, type NullFarm } from "./support/null-farm.ts";
import { nullGraph } from "./support/null-graph.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { residentMb } from "./support/resident-memory.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { untilCompleted } from "./support/until-completed.ts";

const optionsSchema = z.object({
  streams: count.default(1_000),
  jobs: count.default(10_000),
  servers: count.default(64),
  seconds: count.default(20),
});

const batchSize = 1_000;
const connectingAtOnce = 20;
const bench = "streams";

/** Opens a stream and reads whatever comes. @returns the number of its events so far */
async function openStream(url: string, over: AbortSignal): Promise<() => number> {
  const response = await fetch(url, { signal: over });
  if (response.status !== 200 || response.body === null) throw new Error(`${url}: ${response.status}`);
  let events = 0;
  const messages = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  void (async () => {
    for await (const { event } of messages) if (event === "event") events += 1;
  })().catch((error: unknown) => {
    if (!over.aborted) throw error;
  });
  return () => events;
}

async function runJobs(api: ApiClient, from: number, jobs: number): Promise<void> {
  const graphs = Array.from({ length: jobs }, (_, index) => nullGraph("streams", from + index));
  const { id } = await api.submitBatch(graphs.map((workflow) => ({ type: "workflow", workflow })));
  await untilCompleted(api, id, jobs);
}

const apiMs = async ({ api }: NullFarm): Promise<number> =>
  (await processorMsOf(new Map([[api.pid, "api"]]))).get("api") ?? 0;

async function shareOfCore(farm: NullFarm, seconds: number): Promise<number> {
  const [before, startedAt] = [await apiMs(farm), performance.now()];
  await sleep(seconds * 1_000);
  return (100 * ((await apiMs(farm)) - before)) / (performance.now() - startedAt);
}

async function measureIdle(farm: NullFarm, streams: number, seconds: number): Promise<Row[]> {
  const over = new AbortController();
  const without = { share: await shareOfCore(farm, seconds), mb: await residentMb(farm.api.pid) };
  for (let open = 0; open < streams; open += connectingAtOnce) {
    const group = Array.from({ length: Math.min(connectingAtOnce, streams - open) });
    await Promise.all(
      group.map(() => openStream(`${farm.apiUrl}/api/anime/events?project=idle`, over.signal)),
    );
  }
  const withStreams = { share: await shareOfCore(farm, seconds), mb: await residentMb(farm.api.pid) };
  over.abort();
  const note = (unit: string, before: number, after: number): string =>
    `${before.toFixed(1)} ${unit} without, ${after.toFixed(1)} with ${streams} streams`;
  return [
    {
      ...{ bench, figure: "an idle stream: memory of the API", unit: "kB" },
      value: ((withStreams.mb - without.mb) * 1_024) / streams,
      note: note("MB", without.mb, withStreams.mb),
    },
    {
      ...{ bench, figure: "1,000 idle streams: processor of the API", unit: "% of a core" },
      value: ((withStreams.share - without.share) * 1_000) / streams,
      note: note("%", without.share, withStreams.share),
    },
  ];
}

async function measureFeed(farm: NullFarm, jobs: number): Promise<Row[]> {
  const api = new ApiClient(farm.apiUrl);
  const over = new AbortController();
  const eventsOf = await openStream(`${farm.apiUrl}/api/anime/events`, over.signal);
  const held: number[] = [];
  for (let done = 0; done < jobs; done += batchSize) {
    await runJobs(api, batchSize + done, Math.min(batchSize, jobs - done));
    held.push(await residentMb(farm.api.pid));
  }
  const events = eventsOf();
  over.abort();
  const [first = 0] = held;
  const most = Math.max(...held);
  return [
    {
      ...{ bench, figure: `a feed of ${jobs} jobs: most memory of the API ÷ after the first ${batchSize}` },
      ...{ value: most / first, unit: "×", note: `${first.toFixed(0)} MB, then up to ${most.toFixed(0)} MB` },
    },
    { bench, figure: "events that the feed's client received, a job", value: events / jobs, unit: "" },
  ];
}

export async function run({
  streams,
  jobs,
  servers,
  seconds,
}: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const farm = await startNullFarm({ servers, env: { TENANT_STREAMS_MAX: String(streams + 1) } });
  try {
    await runJobs(new ApiClient(farm.apiUrl), 0, batchSize);
    return [...(await measureIdle(farm, streams, seconds)), ...(await measureFeed(farm, jobs))];
  } finally {
    await farm.stop();
  }
}

await runBenchmark(optionsSchema, run);
