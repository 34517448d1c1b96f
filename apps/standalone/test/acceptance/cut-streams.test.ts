import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { EventSourceParserStream } from "eventsource-parser/stream";
import pg from "pg";
import { z } from "zod";

// `STREAM_JOBS=2000 npm test -- apps/standalone/test/acceptance/cut-streams.test.ts` takes as many jobs as a night's batch has.

const jobs = Number(process.env["STREAM_JOBS"] ?? 400);
const cuts = 20;
const kills = 6;
/** Of each job: accepted, announced or claimed, executing, ended; some have more. */
const eventsAtLeast = jobs * 3;

let database: TestDatabase;
let stack: Stack;
let live: string[];

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url, simulators: 2, apis: 2 });
  live = stack.apis.map(({ details }) => String(details["url"]));
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await database.drop();
}, 180_000);

const eventSchema = z.object({ jobId: z.string(), sequence: z.number(), type: z.string() });

/** What one client has received over all of its connections. */
interface Followed {
  events: string[];
  connections: number;
  snapshots: unknown[];
}

const newFollowed = (): Followed => ({ events: [], connections: 0, snapshots: [] });

/** Follows a stream over many connections: closes each after its share of the events, and goes on at any other API process. */
async function follow(path: string, from: string, followed: Followed, over: AbortSignal): Promise<void> {
  const share = Math.ceil(eventsAtLeast / cuts);
  let lastId = from;
  while (!over.aborted) {
    const cut = new AbortController();
    const upTo = followed.events.length + share;
    try {
      const base = live[followed.connections % live.length];
      followed.connections += 1;
      const response = await fetch(`${base}/api/anime/${path}`, {
        ...{ headers: { "last-event-id": lastId }, signal: AbortSignal.any([cut.signal, over]) },
      });
      expect([200, 204]).toContain(response.status);
      if (response.status === 204) return;
      const messages = response
        .body!.pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream());
      for await (const { event, id, data } of messages) {
        if (event === "snapshot") followed.snapshots.push(JSON.parse(data));
        if (event === "event") {
          const { jobId, sequence } = eventSchema.parse(JSON.parse(data));
          followed.events.push(`${jobId} ${sequence}`);
        }
        if (id !== undefined) lastId = id;
        if (followed.events.length >= upTo) break;
      }
    } catch (error) {
      // Its API process was killed, or all is over. (`fetch` throws errors of another realm than the tests'.)
      if (!["AbortError", "TypeError"].some((name) => String(error).startsWith(name))) throw error;
    } finally {
      cut.abort();
    }
  }
}

async function killAndStartApis(client: pg.Client, batchId: string): Promise<void> {
  for (let kill = 1; kill <= kills; kill += 1) {
    await untilEnded(client, batchId, Math.floor((jobs * kill) / (kills + 2)));
    const victim = stack.apis.shift()!;
    live = live.filter((url) => url !== String(victim.details["url"]));
    victim.signal("SIGKILL");
    await victim.exited;
    live.push(String((await stack.startApi()).details["url"]));
  }
}

async function untilEnded(client: pg.Client, batchId: string, count: number): Promise<void> {
  for (;;) {
    const { rows } = await client.query<{ ended: number }>(
      "SELECT count(*)::int AS ended FROM jobs WHERE batch_id = $1 AND finished_at IS NOT NULL",
      [batchId],
    );
    if (rows[0]!.ended >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("streams of a batch and of all jobs that are cut 20 times while API processes are killed have no gap and no repetition", async () => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const [ofBatch, ofAll] = [newFollowed(), newFollowed()];
    const over = new AbortController();
    const following = [follow("events", "0", ofAll, over.signal)];
    const { id } = await new ApiClient(live[0]!).submitBatch(
      Array.from({ length: jobs }, () => ({ type: "workflow", workflow: sleepWorkflow(0) })),
    );
    following.push(follow(`batches/${id}/events`, "0", ofBatch, over.signal));
    await killAndStartApis(client, id);
    await untilEnded(client, id, jobs);
    const { rows } = await client.query<{ event: string }>(
      "SELECT job_id || ' ' || sequence AS event FROM job_events ORDER BY job_id, sequence",
    );
    // The stream of the batch ends by itself; that of all jobs goes on.
    await following[1];
    while (ofAll.events.length < rows.length) await new Promise((resolve) => setTimeout(resolve, 50));
    over.abort();
    await Promise.all(following);
    const inDatabase = rows.map(({ event }) => event).toSorted();
    for (const { events, connections } of [ofBatch, ofAll]) {
      expect(events.toSorted()).toEqual(inDatabase);
      expect(connections).toBeGreaterThanOrEqual(cuts);
    }
    expect(ofBatch.snapshots.at(-1)).toMatchObject({ id, counts: { completed: jobs } });
  } finally {
    await client.end();
  }
}, 240_000);
