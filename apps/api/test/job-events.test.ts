import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { defaultTenantId } from "@genga/database";
import { startTcpProxy, testServiceUrl } from "@genga/testing";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents, type EventReader, type ReadEvent } from "./event-source.ts";

let api: ApiUnderTest;
let serverId: string;
/** So long that nothing here is told by a look unless a test asks for it. */
const patient = { heartbeatMs: 15_000, lookMinMs: 60_000, lookMaxMs: 60_000 };

beforeAll(async () => {
  api = await startApiUnderTest({ times: { watch: patient } });
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
});
afterAll(() => api.stop());

async function submit(on: ApiUnderTest = api): Promise<string> {
  const response = await on.post("generate", { type: "image", prompt: "a cat" });
  expect(response.status).toBe(202);
  return ((await response.json()) as { id: string }).id;
}

const watch = (id: string, headers?: Record<string, string>, base = api.url): Promise<EventReader> =>
  openEvents(`${base}/api/anime/jobs/${id}/events`, headers);

const typesOf = (events: ReadEvent[]): unknown[] =>
  events.map(({ event, data }) => (event === "event" ? data["type"] : event));
const idsOf = (events: ReadEvent[]): number[] =>
  events.filter(({ event }) => event === "event").map(({ id }) => Number(id));

test("a watcher gets a snapshot, then everything live, and the stream ends with the job", async () => {
  const id = await submit();
  const stream = await watch(id);
  expect(stream.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  const snapshot = await stream.next();
  expect(snapshot).toMatchObject({ event: "snapshot", id: "1", data: { id, status: "queued", sequence: 1 } });

  // The feed's subscription must be live before the worker speaks.
  await api.signals.subscribe("job", () => undefined);
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", { percent: 10 });
  expect(await stream.next()).toMatchObject({ event: "event", data: { type: "claimed" } });
  expect(await stream.next()).toMatchObject({ event: "event", data: { type: "executing" } });
  api.worker.signalProgress(leased, 55);
  let progress = await stream.next();
  // That of the report may come first.
  if ((progress!.data["progress"] as { percent: number }).percent === 10) progress = await stream.next();
  expect(progress).toMatchObject({
    event: "progress",
    id: undefined,
    data: { jobId: id, attempt: 1, phase: "executing", progress: { percent: 55 } },
  });
  await api.worker.complete(leased, [{ filename: "a.bin", body: Buffer.from("x") }]);
  const rest = await stream.rest();
  expect(typesOf(rest)).toEqual(["completed"]);
});

test("every event comes once and in order, whatever was told by signals and what by looks", async () => {
  const id = await submit();
  const stream = await watch(id);
  await stream.next();
  const leased = await api.worker.claim(id, serverId);
  for (const phase of ["submitted", "executing", "saving"] as const)
    await api.worker.report(leased, phase, {});
  await api.worker.complete(leased, []);
  const events = (await stream.rest()).filter(({ event }) => event === "event");
  const stored = await api.database.jobReader.of(defaultTenantId).listEvents(id, 1, 100);
  expect(idsOf(events)).toEqual(stored.map(({ sequence }) => sequence));
  expect(typesOf(events)).toEqual(stored.map(({ type }) => type));
});

test("a reconnect with Last-Event-ID gets what it missed, and nothing twice", async () => {
  const id = await submit();
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", { percent: 30 });
  const stored = await api.database.jobReader.of(defaultTenantId).listEvents(id, 0, 100);
  const stream = await watch(id, { "last-event-id": "1" });
  const snapshot = await stream.next();
  // The snapshot has no id: a drop right after it must not skip what follows.
  expect(snapshot).toMatchObject({ event: "snapshot", id: undefined, data: { progress: { percent: 30 } } });
  const missed = stored.filter(({ sequence }) => sequence > 1);
  for (const { sequence, type } of missed) {
    expect(await stream.next()).toMatchObject({ event: "event", id: String(sequence), data: { type } });
  }
  await api.worker.complete(leased, []);
  expect(typesOf(await stream.rest())).toEqual(["completed"]);
});

describe("of a job that has ended", () => {
  test("the snapshot is all there is, and a reconnect is told to stop", async () => {
    const id = await submit();
    await api.worker.complete(await api.worker.claim(id, serverId), []);
    const [snapshot, ...others] = await (await watch(id)).rest();
    expect(snapshot).toMatchObject({ event: "snapshot", data: { status: "completed" } });
    expect(others).toEqual([]);
    const again = await watch(id, { "last-event-id": snapshot!.id! });
    expect(again.response.status).toBe(204);
  });

  test("missed events are sent before the stream ends, a failure and its retry among them", async () => {
    const id = await submit();
    const failure = { class: "execution", code: "node-failed", message: "It raised." } as const;
    await api.worker.end(await api.worker.claim(id, serverId), { kind: "failed", failure });
    await api.request(`jobs/${id}/retry`, { method: "POST" });
    await api.worker.complete(await api.worker.claim(id, serverId), []);
    const events = (await (await watch(id, { "last-event-id": "1" })).rest()).slice(1);
    expect(typesOf(events)).toEqual(["claimed", "failed", "retry_requested", "claimed", "completed"]);
  });
});

test("who comes back is not shown less progress than before, though the database knows less", async () => {
  const id = await submit();
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", { percent: 30 });
  const stream = await watch(id);
  await stream.next();
  api.worker.signalProgress(leased, 70);
  const percentOf = (event: ReadEvent | undefined): unknown => event?.data["progress"];
  expect(percentOf(await stream.next())).toMatchObject({ percent: 70 });
  stream.close();
  const again = await watch(id);
  const snapshot = await again.next();
  expect(snapshot).toMatchObject({ event: "snapshot", data: { progress: { percent: 70 } } });
  again.close();
  await api.worker.end(leased, { kind: "cancelled" });
  const ended = await (await watch(id)).next();
  expect(ended).toMatchObject({
    event: "snapshot",
    data: { status: "cancelled", progress: { percent: 30 } },
  });
});

test("progress never falls within an attempt, and that of an attempt that is over is not sent", async () => {
  const id = await submit();
  const stream = await watch(id);
  await stream.next();
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", { percent: 50 });
  for (const percent of [60, 40, 60, 61]) api.worker.signalProgress(leased, percent);
  const seen: number[] = [];
  for (let event = await stream.next(); event !== undefined; event = await stream.next()) {
    if (event.event !== "progress") continue;
    seen.push((event.data["progress"] as { percent: number }).percent);
    if (seen.at(-1) === 61) break;
  }
  expect(seen).toEqual(seen.toSorted((one, other) => one - other));
  expect(new Set(seen).size).toBe(seen.length);
  await api.worker.end(leased, {
    kind: "requeue",
    failure: { class: "server", code: "server-lost", message: "It was restarted." },
    delayMs: 0,
    charged: false,
    avoidServer: false,
  });
  api.worker.signalProgress(leased, 99);
  await api.worker.complete(await api.worker.claim(id, serverId), []);
  const rest = typesOf(await stream.rest());
  expect(rest.filter((type) => type !== "claimed")).toEqual(["requeued", "completed"]);
});

test("progress is told at most ten times a second, and the latest is among it", async () => {
  const id = await submit();
  const stream = await watch(id);
  await stream.next();
  await api.signals.subscribe("job", () => undefined);
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", { percent: 1 });
  const startedAt = performance.now();
  for (let percent = 2; percent <= 90; percent += 2) {
    api.worker.signalProgress(leased, percent);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const percents: number[] = [];
  while (percents.at(-1) !== 90) {
    const event = await stream.next();
    if (event?.event === "progress") percents.push((event.data["progress"] as { percent: number }).percent);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  expect(percents.length).toBeLessThanOrEqual(seconds * 10 + 2);
  await api.worker.complete(leased, []);
  expect(typesOf(await stream.rest())).toEqual(["completed"]);
});

test("a look at the database, which is a little behind, tells no earlier step of the same percentage", async () => {
  const eager = await startApiUnderTest({
    times: { watch: { heartbeatMs: 15_000, lookMinMs: 10, lookMaxMs: 10 } },
  });
  try {
    const server = await eager.worker.registerServer(
      "http://comfyui.test:8188",
      await recordedDefinitions("core"),
    );
    const id = await submit(eager);
    const stream = await watch(id, {}, eager.url);
    await stream.next();
    await eager.signals.subscribe("job", () => undefined);
    const leased = await eager.worker.claim(id, server);
    await eager.worker.report(leased, "executing", { percent: 30, step: 1, steps: 100 });
    const steps: unknown[] = [];
    for (let step = 2; step <= 8; step += 1) {
      eager.worker.signalProgress(leased, 30, { step, steps: 100 });
      while (steps.at(-1) !== step) {
        const event = await stream.next();
        if (event?.event === "progress") steps.push((event.data["progress"] as { step: number }).step);
      }
    }
    // Before the first signal the job may be seen as it was claimed, and as the first report left it.
    expect(steps.slice(steps.indexOf(2))).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect(steps.slice(0, steps.indexOf(2)).filter((step) => step !== null && step !== 1)).toEqual([]);
    await eager.worker.end(leased, { kind: "cancelled" });
  } finally {
    await eager.stop();
  }
});

test("a transaction that stays open delays no stream of another job, and its own events come after its commit", async () => {
  const [free, held] = [await submit(), await submit()];
  const holder = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await holder.connect();
  const [freeStream, heldStream] = [await watch(free), await watch(held)];
  await Promise.all([freeStream.next(), heldStream.next()]);
  await holder.query("BEGIN");
  await holder.query(
    `WITH job AS (UPDATE jobs SET event_sequence = event_sequence + 1 WHERE id = $1 RETURNING *)
     INSERT INTO job_events (job_id, sequence, type, attempt) SELECT id, event_sequence, 'requeued', attempt FROM job`,
    [held],
  );
  await api.worker.complete(await api.worker.claim(free, serverId), []);
  expect(typesOf(await freeStream.rest())).toEqual(["claimed", "completed"]);
  await holder.query("COMMIT");
  await holder.end();
  await api.worker.complete(await api.worker.claim(held, serverId), []);
  const rest = await heldStream.rest();
  expect(typesOf(rest)).toEqual(["requeued", "claimed", "completed"]);
  expect(idsOf(rest)).toEqual([2, 3, 4]);
});

test("while Redis is away the database tells everything", async () => {
  const proxy = await startTcpProxy({ targetUrl: testServiceUrl("TEST_REDIS_URL") });
  const times = { watch: { heartbeatMs: 15_000, lookMinMs: 20, lookMaxMs: 100 } };
  const another = await startApiUnderTest({ env: { REDIS_URL: proxy.url }, times });
  try {
    const server = await another.worker.registerServer(
      "http://comfyui.test:8188",
      await recordedDefinitions("core"),
    );
    const id = await submit(another);
    const stream = await watch(id, {}, another.url);
    await stream.next();
    await proxy.cut();
    const leased = await another.worker.claim(id, server);
    await another.worker.report(leased, "executing", { percent: 70 });
    const seen: ReadEvent[] = [];
    while (
      !seen.some(
        ({ event, data }) => event === "progress" && (data["progress"] as { percent: number }).percent === 70,
      )
    ) {
      seen.push((await stream.next())!);
    }
    await another.worker.complete(leased, []);
    seen.push(...(await stream.rest()));
    expect(typesOf(seen).filter((type) => type !== "progress")).toEqual([
      "claimed",
      "executing",
      "completed",
    ]);
    expect((await another.request(`jobs/${id}`)).status).toBe(200);
  } finally {
    await proxy.close();
    await another.stop();
  }
});

test("a quiet stream is kept alive by comments", async () => {
  const another = await startApiUnderTest({ times: { watch: { ...patient, heartbeatMs: 20 } } });
  try {
    const id = await submit(another);
    const stream = await watch(id, {}, another.url);
    await stream.next();
    const reading = stream.next();
    while (stream.comments.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await another.request(`jobs/${id}/cancel`, { method: "POST" });
    expect(await reading).toMatchObject({ event: "event", data: { type: "cancelled" } });
  } finally {
    await another.stop();
  }
});

test("a reader that does not read gets every event once it does, and not all the progress in between", async () => {
  const id = await submit();
  const { hostname, port, host } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /api/anime/jobs/${id}/events HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await new Promise((resolve) => socket.once("readable", resolve));
  // From here on nothing is read: first the sockets fill, then the stream must wait.
  const leased = await api.worker.claim(id, serverId);
  await api.worker.report(leased, "executing", {});
  const node = "x".repeat(20_000);
  for (let percent = 0; percent < 100; percent += 0.1) {
    api.signals.publish("job", {
      kind: "progress",
      jobId: id,
      batchId: null,
      tenantId: null,
      attempt: 1,
      phase: "executing",
      progress: {
        percent,
        node,
        nodeTitle: null,
        step: null,
        steps: null,
        nodesDone: null,
        nodesTotal: null,
        remainingLowMs: null,
        remainingHighMs: null,
      },
    });
    if (Math.round(percent * 10) % 50 === 0) await api.request("health/ready");
  }
  await api.worker.complete(leased, []);
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
  await new Promise((resolve) => socket.once("end", resolve));
  socket.destroy();
  const ids = [...received.matchAll(/^id: (\d+)$/gm)].map(([, sequence]) => Number(sequence));
  const stored = await api.database.jobReader.of(defaultTenantId).listEvents(id, 0, 100);
  expect(ids).toEqual(stored.map(({ sequence }) => sequence));
  const progress = received.split("event: progress").length - 1;
  expect(progress).toBeLessThan(1_000);
}, 180_000);

test("a watcher that leaves is forgotten", async () => {
  const id = await submit();
  const openStreams = async (): Promise<string | undefined> =>
    /^genga_event_streams\S* (\d+)$/m.exec(await (await api.request("/metrics")).text())?.[1];
  const before = await openStreams();
  const streams = await Promise.all([watch(id), watch(id), watch(id)]);
  await Promise.all(streams.map((stream) => stream.next()));
  expect(Number(await openStreams())).toBe(Number(before) + 3);
  for (const stream of streams) stream.close();
  while ((await openStreams()) !== before) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("a process that stops ends its streams", async () => {
  const another = await startApiUnderTest({ times: { watch: patient } });
  const stream = await watch(await submit(another), {}, another.url);
  await stream.next();
  const stopping = another.stop();
  expect(await stream.next()).toBeUndefined();
  await stopping;
});

test.each(["jobs", "batches"] as const)(
  "when %s are removed before jobs that need them were told of their end, watchers see these fail live",
  async (what) => {
    const accepted = await api.post("batches", { jobs: [{ type: "image", prompt: "a cat" }] });
    const { id, jobs } = (await accepted.json()) as { id: string; jobs: { id: string }[] };
    const neededId = jobs[0]!.id;
    const answer = await api.post("generate", { type: "image", prompt: "a dog", dependsOn: [neededId] });
    const stream = await watch(((await answer.json()) as { id: string }).id);
    await stream.next();
    await api.signals.subscribe("job", () => undefined);
    // No sweeper runs here, so a job that times out in the queue tells nobody of its end.
    await expireInQueue(neededId);
    const removal = await api.request(`${what}/${what === "jobs" ? neededId : id}`, { method: "DELETE" });
    expect(removal.status).toBe(204);
    const failure = { code: "dependency-failed", dependency: neededId };
    expect(await stream.rest()).toMatchObject([{ event: "event", data: { type: "failed", data: failure } }]);
  },
);

async function expireInQueue(jobId: string): Promise<void> {
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  await client.query("UPDATE jobs SET expires_at = now() - interval '1 second' WHERE id = $1", [jobId]);
  await client.end();
  expect(await api.database.jobRuns.expireQueued(100)).toMatchObject([{ job: { id: jobId } }]);
}
