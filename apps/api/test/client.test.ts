import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GengaClient, GengaError, type GengaEvent } from "@genga/client";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import sharp from "sharp";
import * as tour from "../../../packages/client/examples/tour.ts";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const key = "studio-key-0123456789";
const cat = { type: "image", prompt: "a cat" } as const;
const quickRetries = { firstMs: 5, longestMs: 20 };

let api: ApiUnderTest;
let otherUrl: string;
let serverId: string;
let genga: GengaClient;
const proxies: TcpProxy[] = [];
const servers: Server[] = [];

beforeAll(async () => {
  const watch = { heartbeatMs: 15_000, lookMinMs: 500, lookMaxMs: 1_000 };
  api = await startApiUnderTest({ env: { API_KEYS: `studio:operate:${key}` }, times: { watch } });
  otherUrl = (await api.startAnother()).url;
  serverId = await api.worker.registerServer("http://comfyui.test:8188", await recordedDefinitions("core"));
  genga = clientOf(api.url);
});
afterAll(async () => {
  for (const proxy of proxies) await proxy.close();
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
  await api.stop();
});

function clientOf(baseUrl: string, more: object = {}): GengaClient {
  return new GengaClient({ baseUrl, apiKey: key, retries: quickRetries, ...more });
}

async function proxyTo(targetUrl: string): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl });
  proxies.push(proxy);
  return proxy;
}

/** A server in front of the API, or in its place. */
async function serve(answer: (path: string, response: ServerResponse) => void): Promise<string> {
  const server = createServer((request, response) => {
    answer(request.url ?? "", response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function complete(jobId: string, body: Buffer = Buffer.from("a picture")): Promise<void> {
  await api.worker.complete(await api.worker.claim(jobId, serverId), [{ filename: "a.bin", body }]);
}

async function refusalOf(work: Promise<unknown>): Promise<GengaError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof GengaError) return error;
    throw error;
  }
  throw new Error("It was not refused.");
}

describe("submissions", () => {
  test("seeds beyond 2^53 keep their digits both ways", async () => {
    const seed = "18446744073709551615";
    const job = await genga.submit({ ...cat, seed });
    const inputs = { width: 512, height: 512, batch_size: 1, color: 0, huge: 9007199254740993n };
    const graph = {
      "1": { class_type: "EmptyImage", inputs },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
    };
    const raw = await genga.submit({ type: "workflow", workflow: graph });
    const path = { params: { path: { id: job.id } } };
    const { data } = await genga.http.GET("/api/anime/jobs/{id}/parameters", path);
    expect(data!.parameters["seed"]).toBe(seed);
    const { data: kept } = await genga.http.GET("/api/anime/jobs/{id}/workflow", {
      params: { path: { id: raw.id } },
    });
    expect(kept!["1"]).toMatchObject({ inputs: { huge: "9007199254740993" } });
    // No reader of JSON may round anything of any answer.
    const sweep = { base: { ...cat, seed }, vary: { seed: [seed, "9007199254740993"] } };
    const checked = await genga.check({ sweep });
    expect(checked.jobs.map(({ values }) => values["seed"])).toEqual([seed, "9007199254740993"]);
    for (const rest of ["", "/parameters", "/workflow", "/outputs"]) {
      for (const { id } of [job, raw]) {
        const headers = { authorization: `Bearer ${key}` };
        const text = await (await api.request(`jobs/${id}${rest}`, { headers })).text();
        expect(text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "")).not.toMatch(/\d{16,}/);
      }
    }
    await expect(genga.check({ jobs: [{ ...cat, seed: 2 ** 53 }] })).rejects.toThrow(/may have been rounded/);
  });

  test("a refusal has its code, and its problems by field", async () => {
    const refusal = await refusalOf(genga.submitBatch({ jobs: [cat, { ...cat, width: 7, steps: 0 }] }));
    expect(refusal).toMatchObject({ status: 422, name: "GengaError" });
    expect([...refusal.byField.keys()].sort()).toEqual(["jobs.1.steps", "jobs.1.width"]);
    expect(refusal.byField.get("jobs.1.width")![0]!.message).toMatch(/256/);
    expect(await refusalOf(new GengaClient({ baseUrl: api.url, apiKey: "wrong" }).job("1"))).toMatchObject({
      ...{ status: 401, code: "key-unknown", attempts: 1 },
    });
    expect((await refusalOf(genga.submit({ ...cat, width: 7 }))).byField.has("width")).toBe(true);
  });

  test("a submission whose answer was lost is sent again, and accepted once", async () => {
    const proxy = await proxyTo(api.url);
    let lost = 0;
    proxy.observe(({ direction, data, connection }) => {
      if (direction === "to-client" && data.includes("202 Accepted") && lost < 2) {
        lost += 1;
        connection.reset();
      }
    });
    const batch = await clientOf(proxy.url).submitBatch({ name: "lost answers", jobs: [cat, cat] });
    expect(lost).toBe(2);
    const { data } = await genga.http.GET("/api/anime/batches", { params: { query: { limit: 100 } } });
    const accepted = data!.batches.filter(({ name }) => name === "lost answers");
    expect(accepted.map(({ id, total }) => [id, total])).toEqual([[batch.id, 2]]);
  });

  test("a retry whose answer was lost is not sent again, since it may have been carried out", async () => {
    const asked: string[] = [];
    const url = await serve((path, response) => {
      asked.push(path);
      response.destroy();
    });
    const refusal = await refusalOf(clientOf(url).retry({ id: "7", status: "failed" } as { id: string }));
    expect([refusal.code, asked]).toEqual(["connection-failed", ["/api/anime/jobs/7/retry"]]);
    expect((await refusalOf(clientOf(url).job("8"))).attempts).toBe(5);
  });

  test("Retry-After is waited for, within bounds", async () => {
    const asked: number[] = [];
    const problem = JSON.stringify({ status: 429, code: "limit-reached", title: "Full", detail: "Full." });
    const url = await serve((path, response) => {
      asked.push(performance.now());
      if (path.endsWith("/7") && asked.length > 1) response.end('{"id": "7"}');
      else response.writeHead(429, { "retry-after": path.endsWith("/8") ? "3600" : "1" }).end(problem);
    });
    expect(await clientOf(url).job("7")).toEqual({ id: "7" });
    expect(asked[1]! - asked[0]!).toBeGreaterThanOrEqual(1_000);
    const refusal = await refusalOf(clientOf(url).job("8"));
    expect(refusal).toMatchObject({ code: "limit-reached", retryAfterMs: 3_600_000, attempts: 1 });
  });

  test("an answer of something else than the API is said to be one", async () => {
    const url = await serve((_path, response) => response.writeHead(404).end("<h1>nginx</h1>"));
    expect(await refusalOf(clientOf(url).job("7"))).toMatchObject({
      ...{ code: "unexpected-answer", status: 404, detail: "<h1>nginx</h1>" },
    });
  });
});

describe("waitFor", () => {
  test("tells progress and returns the job as it has ended, on another process after a cut", async () => {
    const proxy = await proxyTo(api.url);
    const job = await genga.submit(cat);
    const seen: string[] = [];
    let onSeen: (() => void) | undefined;
    const waiting = clientOf(proxy.url).waitFor(job, {
      onProgress: ({ status, progress }) => {
        seen.push(`${status} ${progress.percent}`);
        onSeen?.();
      },
    });
    const untilSeen = (text: string): Promise<void> =>
      new Promise((resolve) => {
        onSeen = () => {
          if (seen.includes(text)) resolve();
        };
        onSeen();
      });
    await untilSeen("queued 0");
    const leased = await api.worker.claim(job.id, serverId);
    await api.worker.report(leased, "executing", { percent: 40 });
    await untilSeen("processing 40");
    await proxy.cut();
    await api.worker.complete(leased, [{ filename: "a.bin", body: Buffer.from("x") }]);
    await proxy.restore();
    const ended = await waiting;
    expect([ended.status, ended.outputs.length, seen.at(-1)]).toEqual(["completed", 1, "completed 100"]);
    // It is there at once for a job that has ended, by its id alone.
    expect(await genga.waitFor(job.id)).toMatchObject({ id: job.id, status: "completed" });
  });

  test("waits for all jobs of a batch", async () => {
    const batch = await genga.submitBatch({ jobs: [cat, cat] });
    const counts: number[] = [];
    const waiting = genga.waitFor(batch, {
      onProgress: (each) => counts.push(each.counts.completed),
    });
    for (const { id } of batch.jobs) await complete(id);
    expect(await waiting).toMatchObject({ id: batch.id, done: true, counts: { completed: 2 } });
    expect(counts.at(-1)).toBe(2);
    expect(await genga.waitFor(batch.id)).toMatchObject({ done: true });
  });

  test("ends with the refusal where the job or batch does not exist, or is removed meanwhile", async () => {
    const unknown = "01a213f0-8c1e-7c42-9a44-6f1f0a5f7d21";
    expect(await refusalOf(genga.waitFor(unknown))).toMatchObject({ status: 404, code: "batch-not-found" });
    const url = await serve((path, response) => {
      if (path.endsWith("/events")) {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(
          'event: snapshot\ndata: {"status": "queued"}\n\nevent: removed\ndata: {"jobId": "7"}\n\n',
        );
      } else {
        const removed = { status: 410, code: "job-removed", title: "The job was removed", detail: "" };
        response.writeHead(410).end(JSON.stringify(removed));
      }
    });
    const refusal = await refusalOf(clientOf(url).waitFor({ id: "7", status: "queued" }));
    expect(refusal).toMatchObject({ status: 410, code: "job-removed" });
  });

  test("ends by its own time limit and by a signal", async () => {
    const job = await genga.submit(cat);
    await expect(genga.waitFor(job, { timeoutMs: 50 })).rejects.toMatchObject({ name: "TimeoutError" });
    const leaving = new AbortController();
    const waiting = genga.waitFor(job, { signal: leaving.signal });
    const reason = new Error("No longer wanted.");
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test("asks again and again where it may open no stream, here or at the API", async () => {
    const job = await genga.submit(cat);
    const asked: string[] = [];
    const proxied = (more: object): GengaClient =>
      clientOf(api.url, {
        ...more,
        fetch: (request: Request, init: RequestInit) => {
          asked.push(new URL(request.url).pathname.replace(`/api/anime/jobs/${job.id}`, ""));
          return request.url.endsWith("/events")
            ? Promise.resolve(
                new Response(JSON.stringify({ code: "too-many-streams" }), {
                  status: 503,
                  headers: { "retry-after": "0" },
                }),
              )
            : fetch(request, init);
        },
      });
    let looks = 0;
    let onLook: (() => void) | undefined;
    const looked = new Promise<void>((resolve) => (onLook = resolve));
    const onProgress = (): void => {
      looks += 1;
      if (looks === 4) onLook?.();
    };
    const withoutPlace = proxied({ streamsMax: 0 }).waitFor(job, { onProgress });
    const refused = proxied({}).waitFor(job, { onProgress });
    await looked;
    await complete(job.id);
    expect(await withoutPlace).toMatchObject({ status: "completed" });
    expect(await refused).toMatchObject({ status: "completed" });
    expect(new Set(asked)).toEqual(new Set(["", "/events"]));
  });

  test("closes its stream when it cannot read what the stream spoke of, before it opens another", async () => {
    const streams: { response: ServerResponse; closed: Promise<unknown> }[] = [];
    let onFourth: (() => void) | undefined;
    const fourth = new Promise<void>((resolve) => (onFourth = resolve));
    const url = await serve((path, response) => {
      if (!path.endsWith("/events")) {
        const [status, code] = streams.length % 2 === 0 ? [503, "unavailable"] : [429, "limit-reached"];
        response.writeHead(status, { "retry-after": "0" }).end(JSON.stringify({ status, code }));
        return;
      }
      streams.push({ response, closed: once(response, "close") });
      if (streams.length === 4) onFourth?.();
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('event: snapshot\ndata: {"status": "queued"}\n\n');
      // What has ended is read, except from the stream whose fate is looked at.
      if (streams.length < 4) response.write('event: event\ndata: {"type": "completed"}\n\n');
    });
    const leaving = new AbortController();
    const options = { signal: leaving.signal };
    const waiting = clientOf(url).waitFor({ id: "7", status: "queued" }, options);
    await fourth;
    // A stream that nobody reads is closed at last by its silence, after 50 seconds.
    const closed = Promise.all(streams.slice(0, 3).map((stream) => stream.closed));
    await Promise.race([closed, sleep(20_000, undefined, { ref: false })]);
    expect(streams.map(({ response }) => response.closed)).toEqual([true, true, true, false]);
    leaving.abort(new Error("No longer wanted."));
    await expect(waiting).rejects.toThrow("No longer wanted.");
    await streams[3]!.closed;
  });

  test("lets the API answer at the end where something in between answers streams", async () => {
    const job = await genga.submit(cat);
    const asked: string[] = [];
    let onWait: (() => void) | undefined;
    const waits = new Promise<void>((resolve) => (onWait = resolve));
    const behindProxy = clientOf(api.url, {
      fetch: (request: Request, init: RequestInit) => {
        asked.push(request.url.slice(request.url.lastIndexOf("/") + 1).replace(job.id, "job"));
        if (request.url.endsWith("/events")) return Promise.resolve(new Response("<p>Please wait</p>"));
        if (request.url.includes("wait=")) onWait?.();
        return fetch(request, init);
      },
    });
    const waiting = behindProxy.waitFor(job);
    await waits;
    await complete(job.id);
    expect(await waiting).toMatchObject({ status: "completed" });
    expect(asked).toEqual(["events", "job", "events", "job?wait=30000ms"]);
  });
});

describe("events", () => {
  test("of a batch are told once each, in order, over twenty cuts and two processes of the API", async () => {
    const paths = [await proxyTo(api.url), await proxyTo(otherUrl)];
    let connections = 0;
    const project = `cuts-${Date.now()}`;
    const batch = await genga.submitBatch({ project, jobs: Array.from({ length: 20 }, () => cat) });
    const reader = clientOf("http://either", {
      fetch: (request: Request, init: RequestInit) => {
        connections += 1;
        const { pathname, search } = new URL(request.url);
        return fetch(new Request(new URL(pathname + search, paths[connections % 2]!.url), request), init);
      },
    });
    const told: string[] = [];
    let last: GengaEvent | undefined;
    const events = reader.events({ batch: batch.id, status: ["processing", "completed"] });
    /** Until this was told. */
    const until = async (isIt: (event: GengaEvent) => boolean): Promise<void> => {
      for (;;) {
        const { value } = await events.next();
        if (value?.kind === "event") told.push(`${value.event.jobId} ${value.event.sequence}`);
        last = value ?? last;
        if (value === undefined || isIt(value)) return;
      }
    };
    await until(({ kind }) => kind === "snapshot");
    for (const { id } of batch.jobs) {
      const leased = await api.worker.claim(id, serverId);
      for (const path of paths) await path.cut();
      await api.worker.complete(leased, []);
      for (const path of paths) await path.restore();
      await until(
        (event) => event.kind === "event" && event.event.jobId === id && event.event.type === "completed",
      );
    }
    await until(() => false);
    expect(connections).toBeGreaterThanOrEqual(20);
    expect(last).toMatchObject({ kind: "snapshot", snapshot: { done: true, counts: { completed: 20 } } });
    expect(told).toEqual(batch.jobs.flatMap(({ id }) => [`${id} 2`, `${id} 3`]));
  });

  test("begin where a client stood, and only those that were chosen", async () => {
    const project = `chosen-${Date.now()}`;
    const leaving = new AbortController();
    const events = genga.events({ project, status: ["completed"], signal: leaving.signal });
    const first = await events.next();
    expect(first.value).toMatchObject({ kind: "snapshot" });
    const [job, other] = [await genga.submit({ ...cat, project }), await genga.submit(cat)];
    await complete(other.id);
    await complete(job.id);
    const second = await events.next();
    expect(second.value).toMatchObject({ kind: "event", event: { jobId: job.id, type: "completed" } });
    await events.return();
    const lastEventId = first.value!.id!;
    const again = genga.events({ project, status: ["completed"], lastEventId, signal: leaving.signal });
    expect((await again.next()).value).toMatchObject({ kind: "event", event: { jobId: job.id } });
    const pending = again.next();
    const reason = new Error("No longer wanted.");
    leaving.abort(reason);
    await expect(pending).rejects.toBe(reason);
  });

  test("end at once by return(), also while one is being waited for", async () => {
    const events = genga.events({ project: "nothing-happens-here" });
    expect((await events.next()).value).toMatchObject({ kind: "snapshot" });
    const pending = events.next();
    expect(await events.return()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test("end with an error where the API refuses them, or the key is revoked", async () => {
    const wrong = new GengaClient({ baseUrl: api.url, apiKey: "wrong" });
    expect(await refusalOf(wrong.events().next())).toMatchObject({ status: 401 });
    const { data: made } = await genga.http.POST("/api/anime/keys", {
      body: { name: "brief", tenant: "studio", role: "read" },
    });
    const events = new GengaClient({ baseUrl: api.url, apiKey: made!.key }).events();
    await events.next();
    const pending = refusalOf(events.next());
    await genga.http.DELETE("/api/anime/keys/{id}", { params: { path: { id: made!.id } } });
    expect(await pending).toMatchObject({ code: "key-not-valid" });
  });
});

describe("downloads", () => {
  async function outputOf(body: Buffer): Promise<Awaited<ReturnType<GengaClient["outputs"]>>[number]> {
    const job = await genga.submit(cat);
    await complete(job.id, body);
    const [output] = await genga.outputs(job.id);
    return output!;
  }
  const bytesOf = async (body: ReadableStream<Uint8Array>): Promise<Buffer> =>
    Buffer.from(await new Response(body).arrayBuffer());

  test("go on where they were cut off, and are compared with their SHA-256", async () => {
    const content = randomBytes(3_000_000);
    const output = await outputOf(content);
    const proxy = await proxyTo(api.url);
    const heads: string[] = [];
    let passed = 0;
    proxy.observe(({ direction, data, connection }) => {
      if (direction === "to-target") heads.push(data.toString("latin1"));
      else if ((passed += data.byteLength) > 1_000_000) {
        passed = 0;
        connection.reset();
      }
    });
    const download = await clientOf(proxy.url).download(output);
    expect(download).toMatchObject({ bytes: content.byteLength, mediaType: "application/octet-stream" });
    expect((await bytesOf(download.body)).equals(content)).toBe(true);
    const ranges = heads.map((head) => /range: (bytes=\d+-)/i.exec(head)?.[1]);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).length).toBeGreaterThan(1);
    expect(ranges.slice(1)).toEqual(ranges.slice(1).map(() => expect.stringMatching(/^bytes=[1-9]/)));
  });

  test("of a content that is not the announced one fail at their end", async () => {
    const output = await outputOf(Buffer.from("what was made"));
    const wrong = { ...output, sha256: createHash("sha256").update("something else").digest("hex") };
    const { body } = await genga.download(wrong);
    expect(await refusalOf(bytesOf(body))).toMatchObject({ code: "content-mismatch" });
    const byId = await genga.download(output.id);
    expect(byId.sha256).toBe(output.sha256);
    expect((await bytesOf(byId.body)).toString()).toBe("what was made");
    expect(await refusalOf(genga.download("01a213f0-8c1e-7c42-9a44-6f1f0a5f7d21"))).toMatchObject({
      code: "output-not-found",
    });
  });

  test("stop asking when they are cancelled", async () => {
    const { body } = await genga.download(await outputOf(randomBytes(3_000_000)));
    const reader = body.getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    expect((await reader.read()).done).toBe(true);
  });
});

describe("zips", () => {
  const read = async (zip: Promise<ReadableStream<Uint8Array>>): Promise<Buffer> =>
    Buffer.from(await new Response(await zip).arrayBuffer());

  test("have the outputs of a batch or of the jobs that match, and are refused as the API refuses", async () => {
    const { id, jobs } = await genga.submitBatch({ jobs: [cat, cat], project: "zipped" });
    for (const [index, job] of jobs.entries()) await complete(job.id, Buffer.from(`file ${index}`));
    const names = "{index}";
    const expected = ["0000", "0001", "manifest.json"];
    for (const of of [
      id,
      { id, jobs },
      { project: "zipped", status: ["completed" as const, "failed" as const] },
    ])
      expect(namesIn(await read(genga.zip(of, { names })))).toEqual(expected);
    expect(namesIn(await read(genga.zip({ project: "none" })))).toEqual(["manifest.json"]);
    expect(await refusalOf(genga.zip(id, { names: "{sed}" }))).toMatchObject({ status: 422 });
    expect(await refusalOf(genga.zip(jobs[0]!.id))).toMatchObject({ code: "batch-not-found" });
  });

  test("that are cut off fail, and those that nobody reads on are closed", async () => {
    const { id, jobs } = await genga.submitBatch({ jobs: [cat] });
    await complete(jobs[0]!.id, randomBytes(3_000_000));
    const proxy = await proxyTo(api.url);
    let passed = 0;
    proxy.observe(({ direction, data, connection }) => {
      if (direction === "to-client" && (passed += data.byteLength) > 1_000_000) connection.reset();
    });
    const client = clientOf(proxy.url);
    expect(await refusalOf(read(client.zip(id)))).toMatchObject({ code: "connection-failed" });
    const reader = (await genga.zip(id)).getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    expect((await reader.read()).done).toBe(true);
    const leaving = new AbortController();
    const left = (await genga.zip(id, { signal: leaving.signal })).getReader();
    leaving.abort(new Error("enough"));
    await expect(left.read()).rejects.toThrow("enough");
  });
});

test("a picture is sent, and the same one again is the same upload", async () => {
  const png = await sharp({ create: { width: 16, height: 16, channels: 3, background: "red" } })
    .png()
    .toBuffer();
  const blob = new Blob([png], { type: "image/png" });
  const [upload, again] = [
    await genga.upload(blob),
    await genga.upload(new Uint8Array(png), { mediaType: "image/png" }),
  ];
  expect(upload).toMatchObject({ mediaType: "image/png", width: 16, height: 16 });
  expect(again.id).toBe(upload.id);
});

test("jobs and batches are cancelled and tried again by their ids", async () => {
  const job = await genga.submit(cat);
  const batch = await genga.submitBatch({ jobs: [cat] });
  expect(await genga.cancel(job.id)).toMatchObject({ id: job.id, status: "cancelled" });
  expect(await genga.cancel(batch.id)).toMatchObject({ id: batch.id, cancelled: 1 });
  expect(await refusalOf(genga.cancel(job))).toMatchObject({ code: "job-already-ended" });
  expect(await genga.retry(job)).toMatchObject({ id: job.id, status: "queued" });
  const proxy = await proxyTo(api.url);
  const stop = proxy.observe(({ direction, data, connection }) => {
    if (direction === "to-client" && data.includes("202 Accepted")) {
      stop();
      connection.reset();
    }
  });
  expect(await clientOf(proxy.url).cancel(job)).toMatchObject({ id: job.id, status: "cancelled" });
});

describe("the examples of docs/clients.md", () => {
  const project = join(import.meta.dirname, "../../..");
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "genga-client-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("are those that run here, word for word", async () => {
    const source = await readFile(join(project, "packages/client/examples/tour.ts"), "utf8");
    const shown = await readFile(join(project, "docs/clients.md"), "utf8");
    const examples = [...source.matchAll(/^ *\/\/ begin: .*\n([\s\S]*?)^ *\/\/ end$/gm)].map(([, code]) =>
      code!.replaceAll(/^ {2}/gm, ""),
    );
    expect(examples).toHaveLength(7);
    for (const example of examples) expect(shown).toContain(`\`\`\`ts\n${example}\`\`\``);
  });

  test("make a picture, also from a sketch, and a sweep", async () => {
    const file = join(folder, "sketch.png");
    const picture = { width: 16, height: 16, channels: 3, background: "red" } as const;
    await writeFile(file, await sharp({ create: picture }).png().toBuffer());
    const drawn = await tour.drawSketch(genga, file);
    expect(await genga.cancel(drawn)).toMatchObject({ status: "cancelled" });

    const events = genga.events({ status: ["queued"] });
    await events.next();
    const made = join(folder, "made.png");
    const printed = jest.spyOn(console, "log").mockReturnValue();
    const [sha256] = await Promise.all([tour.makePicture(genga, made), completeNext(events, 1)]);
    expect(printed.mock.lastCall?.slice(0, 2)).toEqual(["completed", 100]);
    printed.mockRestore();
    expect(
      createHash("sha256")
        .update(await readFile(made))
        .digest("hex"),
    ).toBe(sha256);
    const [batch] = await Promise.all([tour.runSweep(genga), completeNext(events, 8)]);
    expect(batch.total).toBe(8);
    const zip = join(folder, "harbour.zip");
    await tour.fetchZip(genga, batch, zip);
    const names = namesIn(await readFile(zip));
    expect(names).toEqual(expect.arrayContaining(["0000-7.bin", "0007-10.bin", "manifest.json"]));
    expect(names).toHaveLength(9);
    await events.return();
  });

  test("follow a project, explain a refusal and list prompts", async () => {
    const seen: string[] = [];
    let isFollowed: (() => void) | undefined;
    const followed = new Promise<void>((resolve) => (isFollowed = resolve));
    const following = tour.followProject(genga, (event) => {
      seen.push(event.kind === "event" ? event.event.type : event.kind);
      isFollowed?.();
    });
    await followed;
    const job = await genga.submit({ ...cat, project: "opening", prompt: "a cat on a wall" });
    expect(await tour.listPrompts(genga)).toContain("a cat on a wall");
    const failure = { class: "execution", code: "node-failed", message: "It raised." } as const;
    await api.worker.end(await api.worker.claim(job.id, serverId), { kind: "failed", failure });
    await following;
    expect(seen).toEqual(["snapshot", "failed"]);

    const said: string[] = [];
    await tour.explainRefusal(genga, (line) => said.push(line));
    expect(said[0]).toMatch(/^422 out-of-bounds: width /);
    expect(said[1]).toMatch(/^width: /);
  });

  /** Completes jobs as they are accepted. */
  async function completeNext(events: ReturnType<GengaClient["events"]>, count: number): Promise<void> {
    for (let done = 0; done < count;) {
      const { value } = await events.next();
      if (value?.kind !== "event" || value.event.type !== "accepted") continue;
      // What was accepted just before the events began may be told again.
      const { id, status } = await genga.job(value.event.jobId);
      if (status !== "queued") continue;
      await complete(id);
      done += 1;
    }
  }
});

/** The names in a zip's central directory. */
function namesIn(zip: Buffer): string[] {
  const names: string[] = [];
  for (let at = zip.indexOf("PK\x01\x02"); at >= 0; at = zip.indexOf("PK\x01\x02", at + 46))
    names.push(zip.subarray(at + 46, at + 46 + zip.readUInt16LE(at + 28)).toString());
  return names;
}
