import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { request as httpRequest, type ClientRequest } from "node:http";
import { type RunningApi } from "../src/start-api.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const keys = {
  ...{ studio: "studio-key-0123456789", rival: "rival-key-0123456789", third: "third-key-0123456789" },
  operator: "operator-key-0123456789",
};
const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const mebibyte = 1024 * 1024;
let api: ApiUnderTest;
let other: RunningApi;

beforeAll(async () => {
  api = await startApiUnderTest({
    env: {
      API_KEYS: `studio:${keys.studio},rival:${keys.rival},third:${keys.third},house:operate:${keys.operator}`,
      HOST: "0.0.0.0",
      BODY_BYTES_AT_ONCE: String(40 * mebibyte),
      TRUSTED_PROXIES: "loopback",
      COMFYUI_DOOR_PORT: "0",
    },
  });
  other = await api.startAnother();
});
afterAll(() => api.stop());

const choose = async (tenant: string, choices: Record<string, number>): Promise<Response> =>
  await api.request(`tenants/${tenant}/limits`, {
    method: "PUT",
    headers: { ...as(keys.operator), "content-type": "application/json" },
    body: JSON.stringify({
      ...{ jobsQueuedMax: null, jobsRunningMax: null, requestsPerMinute: null, requestsAtOnce: null },
      streamsMax: null,
      ...choices,
    }),
  });
const look = (key: string, url = api.url): Promise<Response> =>
  fetch(`${url}/api/anime/jobs`, { headers: as(key) });
const aJob = async (key: string): Promise<string> => {
  const answer = await api.post("generate", { type: "image", prompt: "a girl" }, as(key));
  expect(answer.status).toBe(202);
  return ((await answer.json()) as { id: string }).id;
};
const figure = async (line: string): Promise<number> => {
  const text = await (await api.request("/metrics", { headers: as(keys.operator) })).text();
  const found = text.split("\n").find((each) => each.startsWith(line));
  return found === undefined ? 0 : Number(found.split(" ").at(-1));
};

describe("an operator", () => {
  test("sees and sets the limits of a tenant", async () => {
    const before = await api.request("tenants/studio/limits", { headers: as(keys.operator) });
    expect(await before.json()).toMatchObject({
      tenant: "studio",
      choices: { jobsQueuedMax: null, streamsMax: null },
      limits: { jobsQueuedMax: 200_000, jobsRunningMax: null, streamsMax: 500 },
    });
    const changed = await choose("studio", { jobsQueuedMax: 3 });
    expect(await changed.json()).toMatchObject({
      choices: { jobsQueuedMax: 3 },
      limits: { jobsQueuedMax: 3 },
    });
    expect((await choose("studio", {})).status).toBe(200);
  });

  test("leaves an event with the key's name", async () => {
    await choose("studio", { streamsMax: 7 });
    await choose("studio", {});
    const answer = await api.request("audit-events?limit=10", { headers: as(keys.operator) });
    expect(JSON.stringify(await answer.json())).toMatch(/"limits-set".*"streamsMax":7/);
  });

  test("learns what is wrong with a choice, and that a tenant does not exist", async () => {
    const wrong = await choose("studio", { requestsPerMinute: 0 });
    expect([wrong.status, await wrong.json()]).toMatchObject([
      422,
      { problems: [{ path: "requestsPerMinute" }] },
    ]);
    expect((await choose("nobody", {})).status).toBe(404);
    const missing = await api.request("tenants/studio/limits", {
      method: "PUT",
      headers: { ...as(keys.operator), "content-type": "application/json" },
      body: "{}",
    });
    expect(missing.status).toBe(422);
  });
});

test("more queued jobs than a tenant may have are answered with 429 by every process, alone, in a batch and tried again", async () => {
  await choose("studio", { jobsQueuedMax: 2 });
  const job = { type: "image", prompt: "a girl" };
  const post = (path: string, body: object, url = api.url): Promise<Response> =>
    fetch(`${url}/api/anime/${path}`, {
      method: "POST",
      headers: { ...as(keys.studio), "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const assertFull = async (answer: Response, used: number, wanted: number): Promise<void> => {
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    const limit = { name: "jobs-queued", max: 2, used, wanted };
    expect(await answer.json()).toMatchObject({ code: "limit-reached", limit });
  };
  const first = await aJob(keys.studio);
  await assertFull(await post("batches", { jobs: [job, job] }, other.url), 1, 2);
  await assertFull(await post("batches", { jobs: [job, job], dryRun: true }), 1, 2);
  expect((await post("batches", { jobs: [job], dryRun: true })).status).toBe(200);
  const second = await post("generate", job, other.url);
  expect(second.status).toBe(202);
  const { id } = (await second.json()) as { id: string };
  await assertFull(await post("generate", job), 2, 1);
  await assertFull(await post("generate", job, other.url), 2, 1);
  expect((await post("generate", job, other.url)).status).toBe(429);

  expect((await post(`jobs/${first}/cancel`, {})).status).toBe(202);
  const third = await post("generate", job);
  expect(third.status).toBe(202);
  await assertFull(await post(`jobs/${first}/retry`, {}, other.url), 2, 1);
  const thirdId = ((await third.json()) as { id: string }).id;
  for (const queued of [id, thirdId]) await post(`jobs/${queued}/cancel`, {});
  await choose("studio", {});
});

test("more requests in a minute than a tenant may send are answered with 429 by every process", async () => {
  await choose("rival", { requestsPerMinute: 20 });
  const answers = [];
  // The other process knows the choice after a while.
  for (let count = 0; count < 30; count += 1) answers.push(await look(keys.rival));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(10);
  const seconds = Number(refused[0]!.headers.get("retry-after"));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(await refused[0]!.json()).toMatchObject({
    code: "limit-reached",
    limit: { name: "requests-per-minute", max: 20, wanted: 1 },
  });
  expect((await look(keys.rival, other.url)).status).toBe(429);
  expect((await look(keys.studio)).status).toBe(200);
  expect(await figure('genga_requests_refused_by_limit_total{limit="requests-per-minute"')).toBeGreaterThan(
    0,
  );
  await choose("rival", { requestsPerMinute: 1_000 });
  expect((await look(keys.rival)).status).toBe(200);
});

test("more event streams than a tenant may have are answered with 429 by every process, until one ends", async () => {
  await choose("third", { streamsMax: 2, requestsAtOnce: 3 });
  const id = await aJob(keys.third);
  const open = (url: string, ending = new AbortController()): Promise<{ status: number; end: () => void }> =>
    fetch(`${url}/api/anime/jobs/${id}/events`, { headers: as(keys.third), signal: ending.signal }).then(
      ({ status }) => ({
        status,
        end: () => {
          ending.abort();
        },
      }),
    );
  const streams = [await open(api.url), await open(other.url)];
  expect(streams.map(({ status }) => status)).toEqual([200, 200]);
  expect((await open(api.url)).status).toBe(429);
  expect((await open(other.url)).status).toBe(429);
  // Streams do not count among the requests under way.
  expect((await Promise.all([look(keys.third), look(keys.third)])).map(({ status }) => status)).toEqual([
    200, 200,
  ]);
  streams[1]!.end();
  let status = 429;
  while (status === 429) status = (await open(api.url)).status;
  expect(status).toBe(200);
});

test("a submission that waits for its job's end holds no memory for its body", async () => {
  /** In chunks, so that it counts as large as any body: as the tenant's whole share. */
  const submit = (wait: string): { request: ClientRequest; status: Promise<number> } => {
    const request = httpRequest(`${api.url}/api/anime/generate${wait}`, {
      method: "POST",
      headers: { ...as(keys.rival), "content-type": "application/json" },
    });
    const status = new Promise<number>((resolve) => {
      request.once("response", (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("error", () => {
        resolve(0);
      });
    });
    request.write(JSON.stringify({ type: "image", prompt: "a girl" }));
    request.end();
    return { request, status };
  };
  const waiting = submit("?wait=2m");
  expect(await submit("").status).toBe(202);
  expect(await submit("").status).toBe(202);
  waiting.request.destroy();
  expect(await waiting.status).toBe(0);
});

/** A request whose body never comes whole; resolves once its head was sent. */
function beginUpload(
  key: string,
  bytes: number,
): Promise<{ request: ClientRequest; status: Promise<number> }> {
  const request = httpRequest(`${api.url}/api/anime/uploads`, {
    method: "POST",
    headers: { ...as(key), "content-type": "image/png", "content-length": bytes },
  });
  const status = new Promise<number>((resolve) => {
    request.once("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on("error", () => {
      resolve(0);
    });
  });
  return new Promise((resolve) => {
    request.write("x", () => {
      resolve({ request, status });
    });
  });
}

test("requests under way at once are limited over all processes, and each end makes room", async () => {
  await choose("third", { requestsAtOnce: 2 });
  const slow = new Set<ClientRequest>();
  let refused = await look(keys.third);
  while (refused.status !== 429) {
    // A look may have the place that one of them wants, so they get a head start.
    while (slow.size < 2) {
      const { request, status } = await beginUpload(keys.third, 1_000);
      slow.add(request);
      void status.then(() => slow.delete(request));
      await Promise.race([status, sleep(50)]);
    }
    refused = await look(keys.third);
  }
  expect(await refused.json()).toMatchObject({ limit: { name: "requests-at-once", max: 2, used: 2 } });
  expect((await look(keys.studio)).status).toBe(200);
  // Clients of ComfyUI know no refusal: theirs wait, and one that leaves is forgotten.
  const leaving = new AbortController();
  const ask = (signal: AbortSignal | null = null): Promise<Response> =>
    fetch(`${api.doorUrl!}/queue`, { headers: as(keys.third), signal });
  const left = ask(leaving.signal);
  const waiting = Array.from({ length: 5 }, () => ask());
  while ((await figure("genga_door_requests_waiting")) < 6) await sleep(20);
  leaving.abort();
  await expect(left).rejects.toThrow();
  while ((await figure("genga_door_requests_waiting")) > 5) await sleep(20);
  for (const request of slow) request.destroy();
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  let { status } = await look(keys.third);
  while (status === 429) ({ status } = await look(keys.third));
  expect(status).toBe(200);
  await choose("third", {});
});

test("large bodies of one tenant fill no more than half of what a process reads at once", async () => {
  const slow = await beginUpload(keys.studio, 15 * mebibyte);
  const refused = await beginUpload(keys.studio, 15 * mebibyte);
  expect(await refused.status).toBe(429);
  // Another tenant's body is read to its end, and found to be no image.
  const others = await beginUpload(keys.rival, 10);
  others.request.end("xxxxxxxxx");
  expect(await others.status).toBe(415);
  slow.request.destroy();
  refused.request.destroy();
});

describe("wrong keys", () => {
  const from = (address: string, key: string): Promise<Response> =>
    api.request("jobs", { headers: { ...as(key), "x-forwarded-for": address } });

  test("of one address are answered with 429 after several of them, and counted", async () => {
    const [refusedBefore, heldUpBefore] = [
      await figure('genga_wrong_keys_total{outcome="refused"'),
      await figure('genga_wrong_keys_total{outcome="held-up"'),
    ];
    const answers = [];
    for (let count = 0; count < 15; count += 1) answers.push(await from("192.0.2.1", `guess-${count}`));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 401));
    // One a second is still looked at.
    expect(statuses.slice(11)).toContain(429);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ code: "too-many-wrong-keys" });
    const wrong = statuses.filter((status) => status === 401).length;
    expect(await figure('genga_wrong_keys_total{outcome="refused"')).toBe(refusedBefore + wrong);
    expect(await figure('genga_wrong_keys_total{outcome="held-up"')).toBe(heldUpBefore + 15 - wrong);
  });

  test("hold up neither the known keys of their address nor other addresses", async () => {
    expect((await from("192.0.2.2", keys.studio)).status).toBe(200);
    for (let count = 0; count < 20; count += 1) await from("192.0.2.2", `guess-${count}`);
    for (let count = 0; count < 5; count += 1) {
      expect((await from("192.0.2.2", keys.studio)).status).toBe(200);
      expect((await from("192.0.2.3", `guess-${count}`)).status).toBe(401);
    }
  });
});

test("requests that wait on a connection behind a download hold no place when their client leaves", async () => {
  const job = await aJob(keys.third);
  const serverId = await api.worker.registerServer("http://comfyui.test:8188", {});
  const file = { filename: "a.png", body: Buffer.alloc(9 * mebibyte), mediaType: "image/png" };
  await api.worker.complete(await api.worker.claim(job, serverId), [file]);
  const answer = await api.request(`jobs/${job}/outputs`, { headers: as(keys.third) });
  const { outputs } = (await answer.json()) as { outputs: { id: string }[] };
  await choose("third", { requestsAtOnce: 2 });
  const { hostname, port } = new URL(api.url);
  const get = (path: string): string =>
    `GET /api/anime/${path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: ${keys.third}\r\n\r\n`;
  const begin = async (requests: string): Promise<Socket> => {
    const socket = connect(Number(port), hostname);
    const begins = once(socket, "data");
    socket.write(requests);
    await begins;
    return socket.pause();
  };
  const download = get(`outputs/${outputs[0]!.id}`);
  const leaving = await begin(download + get("jobs"));
  // By the time that this is answered, the request behind the download would have been, too.
  await look(keys.third);
  leaving.destroy();
  const staying = await begin(download);
  let { status } = await look(keys.third);
  while (status === 429) ({ status } = await look(keys.third));
  expect(status).toBe(200);
  staying.destroy();
});
