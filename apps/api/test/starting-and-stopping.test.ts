import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readConfiguration } from "@genga/runtime";
import { startTcpProxy, type TcpProxy } from "@genga/testing";
import { pino } from "pino";
import { startApi, type RunningApi } from "../src/start-api.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";
import { openEvents } from "./event-source.ts";

// An API that waits for what it needs, and one that is asked to stop: what probes, load balancers and clients see.

let api: ApiUnderTest;
beforeAll(async () => {
  api = await startApiUnderTest();
}, 180_000);
afterAll(() => api.stop());

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function start(env: Record<string, string>, logged: string[] = []): Promise<RunningApi> {
  const log = pino({}, { write: (line: string) => logged.push(line) });
  return startApi(readConfiguration({ ...api.env, ...env }), log);
}

async function untilConnections(proxy: TcpProxy, count: number): Promise<void> {
  while (proxy.connectionCount() < count) await new Promise((resolve) => setTimeout(resolve, 20));
}

test("an API that waits for PostgreSQL and Redis is alive and not ready, and says once what it waits for", async () => {
  const [database, redis] = await Promise.all(
    [api.env["DATABASE_URL"]!, api.env["REDIS_URL"]!].map((targetUrl) => startTcpProxy({ targetUrl })),
  );
  const logged: string[] = [];
  const linesOf = (pattern: RegExp): string[] => logged.filter((line) => pattern.test(line));
  const breakConnections = [database!, redis!].map((proxy) =>
    proxy.observe(({ connection }) => {
      connection.reset();
    }),
  );
  const port = await freePort();
  const starting = start(
    { DATABASE_URL: database!.url, REDIS_URL: redis!.url, PORT: String(port), LOG_LEVEL: "info" },
    logged,
  );
  try {
    await untilConnections(database!, 3);
    const ask = (path: string, init?: RequestInit): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${path}`, init);
    expect((await ask("/health/live")).status).toBe(200);
    for (const path of ["/health/ready", "/api/anime/health/ready"])
      expect((await ask(path)).status).toBe(503);
    const refused = await ask("/api/anime/generate", { method: "POST", body: '{"type":"image"}' });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "2"]);
    const comfy = await ask("/api/v2/jobs");
    expect([comfy.status, await comfy.json()]).toMatchObject([500, { error: { code: "upstream_error" } }]);
    expect(await refused.json()).toMatchObject({ code: "store-unavailable" });
    expect(linesOf(/Waiting for PostgreSQL/)).toHaveLength(1);

    breakConnections[0]!();
    const running = await starting;
    // Redis may come later: jobs are accepted meanwhile.
    expect((await ask("/health/ready")).status).toBe(200);
    await untilConnections(redis!, redis!.connectionCount() + 10);
    expect(linesOf(/[Rr]edis/).map((line) => (JSON.parse(line) as { msg: string }).msg)).toHaveLength(1);
    await running.stop();
  } finally {
    for (const mend of breakConnections) mend();
    await starting.then((running) => running.stop()).catch(() => undefined);
    await Promise.all([database!.close(), redis!.close()]);
  }
}, 180_000);

test("an API that is asked to stop is not ready, works on for API_DRAIN_MS, and sends its streams elsewhere", async () => {
  const leaving = await start({ API_DRAIN_MS: "4000", PORT: "0" });
  const { id } = (await (await api.post("generate", { type: "image", prompt: "a cat" })).json()) as {
    id: string;
  };
  const events = await openEvents(`${leaving.url}/api/anime/jobs/${id}/events`);
  expect(await events.next()).toMatchObject({ event: "snapshot" });
  const ask = (path: string): Promise<Response> => fetch(`${leaving.url}${path}`);
  expect((await ask("/health/ready")).status).toBe(200);
  const stopped = leaving.stop();
  // All at once, so that slow answers do not add up to more than the drain.
  const answers = ["/health/ready", "/health/live", `/api/anime/job/${id}`].map(ask);
  const [ready, live, job] = (await Promise.all(answers)) as [Response, Response, Response];
  expect([ready.status, ready.headers.get("connection")]).toEqual([503, "close"]);
  expect(await ready.json()).toMatchObject({ status: "not-ready", parts: { database: { status: "ok" } } });
  expect([live.status, job.status]).toEqual([200, 200]);
  expect(await events.rest()).toEqual([]);
  expect(events.comments.at(-1)).toContain("reconnect");
  expect(events.retryMs).toBeGreaterThanOrEqual(250);
  await stopped;
  await expect(ask("/health/live")).rejects.toThrow();
  const elsewhere = await openEvents(`${api.url}/api/anime/jobs/${id}/events`);
  expect(await elsewhere.next()).toMatchObject({ event: "snapshot", data: { id } });
  elsewhere.close();
}, 180_000);
