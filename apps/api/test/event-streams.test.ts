import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { v7 as uuidv7 } from "uuid";
import { textOfCursor } from "../src/jobs/cursor-text.ts";
import { openEvents, type EventReader, type ReadEvent } from "./event-source.ts";

let api: ApiUnderTest;
let otherUrl: string;
let serverId: string;

beforeAll(async () => {
  api = await startApiUnderTest({
    times: { watch: { heartbeatMs: 15_000, lookMinMs: 500, lookMaxMs: 1_000 } },
  });
  otherUrl = (await api.startAnother()).url;
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

interface Submitted {
  id: string;
  jobIds: string[];
}

async function submitBatch(jobs: number, labels: Record<string, unknown> = {}): Promise<Submitted> {
  const job = { type: "image", prompt: "a cat" };
  const response = await api.post("batches", { ...labels, jobs: Array.from({ length: jobs }, () => job) });
  expect(response.status).toBe(202);
  const batch = (await response.json()) as { id: string; jobs: { id: string }[] };
  return { id: batch.id, jobIds: batch.jobs.map(({ id }) => id) };
}

async function run(jobId: string): Promise<void> {
  await api.worker.complete(await api.worker.claim(jobId, serverId), []);
}

const open = (path: string, lastEventId?: string, base = api.url): Promise<EventReader> =>
  openEvents(`${base}/api/anime/${path}`, lastEventId === undefined ? {} : { "last-event-id": lastEventId });

const shown = ({ event, data }: ReadEvent): string =>
  event === "event" ? `${String(data["jobId"])} ${String(data["sequence"])}` : event;

async function nextEvent(stream: EventReader): Promise<ReadEvent> {
  for (;;) {
    const message = await stream.next();
    if (message === undefined) throw new Error("The stream has ended.");
    if (message.event === "event") return message;
  }
}

describe("the stream of a batch", () => {
  test("begins with a snapshot, tells every event once, and ends with a snapshot after its last job", async () => {
    const { id, jobIds } = await submitBatch(2);
    const stream = await open(`batches/${id}/events`);
    expect(await stream.next()).toMatchObject({ event: "snapshot", data: { id, counts: { queued: 2 } } });
    for (const jobId of jobIds) await run(jobId);
    const messages = await stream.rest();
    const events = messages.filter(({ event }) => event === "event").map(shown);
    const expected = jobIds.flatMap((jobId) => [`${jobId} 2`, `${jobId} 3`]);
    // What was accepted just before the snapshot may be told again.
    expect(events.filter((event) => !event.endsWith(" 1")).sort()).toEqual(expected.sort());
    expect(messages.at(-1)).toMatchObject({
      event: "snapshot",
      data: { done: true, counts: { completed: 2 } },
    });

    const again = await open(`batches/${id}/events`, messages.at(-1)!.id);
    expect(again.response.status).toBe(204);
  });

  test("goes on for a client that comes back after a retry", async () => {
    const { id, jobIds } = await submitBatch(1);
    const failure = { class: "execution", code: "node-failed", message: "It raised." } as const;
    const stream = await open(`batches/${id}/events`);
    await api.worker.end(await api.worker.claim(jobIds[0]!, serverId), { kind: "failed", failure });
    const last = (await stream.rest()).at(-1);
    expect(last).toMatchObject({ event: "snapshot", data: { counts: { failed: 1 } } });
    await api.request(`jobs/${jobIds[0]}/retry`, { method: "POST" });
    await run(jobIds[0]!);
    const types = (await (await open(`batches/${id}/events`, last!.id)).rest()).map(
      ({ data }) => data["type"],
    );
    expect(types).toEqual(["retry_requested", "claimed", "completed", undefined]);
  });

  test("is resumed on whatever process, again and again, without a gap and without a repetition", async () => {
    const { id, jobIds } = await submitBatch(8);
    const received: string[] = [];
    let stream = await open(`batches/${id}/events`, "0");
    const work = Promise.all(
      jobIds.map(async (jobId) => {
        const leased = await api.worker.claim(jobId, serverId);
        for (const phase of ["submitted", "executing", "saving"] as const)
          await api.worker.report(leased, phase, {});
        await api.worker.complete(leased, []);
      }),
    );
    while (received.length < 8 * 6) {
      const message = await nextEvent(stream);
      received.push(shown(message));
      if (received.length % 2 !== 0 || received.length === 8 * 6) continue;
      stream.close();
      stream = await open(`batches/${id}/events`, message.id, received.length % 4 === 0 ? api.url : otherUrl);
    }
    await work;
    const rest = await stream.rest();
    expect(rest.map(shown)).toEqual(["snapshot"]);
    for (const jobId of jobIds) {
      const ofJob = received.filter((event) => event.startsWith(jobId));
      expect(ofJob).toEqual([1, 2, 3, 4, 5, 6].map((sequence) => `${jobId} ${sequence}`));
    }
  }, 180_000);

  test("tells progress between events, at most ten times a second for each job, and none after the end", async () => {
    const { id, jobIds } = await submitBatch(1);
    const stream = await open(`batches/${id}/events`);
    await stream.next();
    await api.signals.subscribe("job", () => undefined);
    const leased = await api.worker.claim(jobIds[0]!, serverId);
    await api.worker.report(leased, "executing", { percent: 1 });
    const startedAt = performance.now();
    for (let percent = 2; percent <= 90; percent += 2) {
      api.worker.signalProgress(leased, percent);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    await api.worker.complete(leased, []);
    api.worker.signalProgress(leased, 95);
    const messages = await stream.rest();
    const percents = messages.flatMap(({ event, data }) =>
      event === "progress" ? [(data["progress"] as { percent: number }).percent] : [],
    );
    expect(percents.length).toBeGreaterThan(1);
    expect(percents.length).toBeLessThanOrEqual(seconds * 10 + 2);
    expect(percents).toEqual(percents.toSorted((one, other) => one - other));
    const endAt = messages.findIndex(({ data }) => data["type"] === "completed");
    expect(messages.slice(endAt).map(({ event }) => event)).toEqual(["event", "snapshot"]);
  });

  test("is refused once the batch was removed, and one that is open then says so", async () => {
    const { id, jobIds } = await submitBatch(1);
    const stream = await open(`events?batch=${id}`);
    expect(await stream.next()).toMatchObject({ event: "snapshot", data: { id } });
    await run(jobIds[0]!);
    expect((await api.request(`batches/${id}`, { method: "DELETE" })).ok).toBe(true);
    expect((await stream.rest()).at(-1)).toMatchObject({ event: "removed", data: { batchId: id } });
    expect((await api.request(`batches/${id}/events`)).status).toBe(410);
  });
});

describe("the stream of all jobs", () => {
  test("tells only of jobs with the labels, and of events with the statuses, that were asked for", async () => {
    const stream = await open("events?project=opera&status=completed,cancelled");
    expect(await stream.next()).toMatchObject({ event: "snapshot", data: { counts: expect.any(Object) } });
    const other = await submitBatch(2, { project: "operetta" });
    const mine = await submitBatch(2, { project: "opera" });
    for (const jobId of other.jobIds) await run(jobId);
    await run(mine.jobIds[0]!);
    await api.request(`jobs/${mine.jobIds[1]}/cancel`, { method: "POST" });
    expect([await stream.next(), await stream.next()]).toMatchObject([
      { event: "event", data: { jobId: mine.jobIds[0], type: "completed" } },
      { event: "event", data: { jobId: mine.jobIds[1], type: "cancelled" } },
    ]);
    stream.close();
  });

  test("begins anew with a snapshot where its cursor is too old, or from the future", async () => {
    const { jobIds } = await submitBatch(3);
    for (const jobId of jobIds) await run(jobId);
    while ((await api.database.eventSequencer.assignPositions(1_000)).events > 0);
    await api.database.eventSequencer.removeOldPositions(2, 100_000);
    for (const cursor of ["1", "999999999999"]) {
      const stream = await open("events", cursor);
      expect(await stream.next()).toMatchObject({ event: "snapshot", id: expect.stringMatching(/^\d+/) });
      stream.close();
    }
  });

  test("tells a client whose cursor is too old how a batch has ended, and not that it has seen everything", async () => {
    const { id, jobIds } = await submitBatch(1);
    await run(jobIds[0]!);
    await run((await submitBatch(1)).jobIds[0]!);
    while ((await api.database.eventSequencer.assignPositions(1_000)).events > 0);
    await api.database.eventSequencer.removeOldPositions(1, 100_000);
    for (const cursor of ["1", "999999999999"]) {
      const messages = await (await open(`batches/${id}/events`, cursor)).rest();
      expect(messages.at(-1)).toMatchObject({ event: "snapshot", data: { done: true } });
      expect((await open(`batches/${id}/events`, messages.at(-1)!.id)).response.status).toBe(204);
    }
  });

  test("of a batch ends although a job was removed before its last event had a position", async () => {
    const { id, jobIds } = await submitBatch(1);
    await run(jobIds[0]!);
    const { id: position } = (await (await open(`batches/${id}/events`)).rest()).at(-1)!;
    const cursor = textOfCursor({ position: BigInt(position!), ahead: new Map([[uuidv7(), 4]]) });
    expect((await open(`batches/${id}/events`, cursor)).response.status).toBe(204);
    const { jobIds: others, id: other } = await submitBatch(1);
    const stream = await open(`batches/${other}/events`, cursor);
    await run(others[0]!);
    expect((await stream.rest()).at(-1)).toMatchObject({ event: "snapshot", data: { done: true } });
  });

  test("of one batch refuses a batch that does not exist", async () => {
    const response = await api.request("events?batch=01a213f0-9d55-7f0b-8b6e-3c1a5a9d0c77");
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      404,
      "batch-not-found",
    ]);
  });

  test("ignores a Last-Event-ID that is no cursor", async () => {
    const stream = await open("events", "nonsense-'; DROP TABLE jobs");
    expect(await stream.next()).toMatchObject({ event: "snapshot" });
    stream.close();
  });
});

describe("a request that waits", () => {
  test("is answered with the job as it ended", async () => {
    const { jobIds } = await submitBatch(1);
    const answer = api.request(`jobs/${jobIds[0]}?wait=60s`);
    await run(jobIds[0]!);
    expect(await (await answer).json()).toMatchObject({ id: jobIds[0], status: "completed" });
  });

  test("is answered with the job as it is when the time is up", async () => {
    const { jobIds } = await submitBatch(1);
    const response = await api.request(`jobs/${jobIds[0]}?wait=50ms`);
    expect(await response.json()).toMatchObject({ id: jobIds[0], status: "queued" });
  });

  test("submits a job and is answered 200 when it ends in time, and 202 when it does not", async () => {
    const job = { type: "image", prompt: "a cat", project: "waits" };
    const late = await api.post("generate?wait=50ms", { ...job, project: "waits in vain" });
    expect([late.status, await late.json()]).toMatchObject([202, { status: "queued" }]);

    const events = await open("events?project=waits&status=queued");
    const answer = api.post("generate?wait=60s", job);
    await events.next();
    const accepted = await nextEvent(events);
    events.close();
    await run(String(accepted.data["jobId"]));
    const ended = await answer;
    expect([ended.status, await ended.json()]).toMatchObject([200, { status: "completed", outputs: [] }]);
    expect(ended.headers.get("location")).toContain(String(accepted.data["jobId"]));
  });

  test.each(["soon", "0s", "121s", "10"])("with wait=%s is refused, and nothing is queued", async (wait) => {
    const response = await api.post(`generate?wait=${wait}`, { type: "image", prompt: "a cat" });
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toContain("wait");
  });
});
