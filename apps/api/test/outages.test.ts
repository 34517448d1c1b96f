import { afterEach, expect, test } from "@jest/globals";
import { createTestDatabase, startTcpProxy, testServiceUrl, type TcpProxy } from "@genga/testing";
import { migrate } from "@genga/database";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const opened: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});

async function startBehind(
  variable: "DATABASE_URL" | "REDIS_URL",
): Promise<{ api: ApiUnderTest; proxy: TcpProxy }> {
  let targetUrl = testServiceUrl("TEST_REDIS_URL");
  if (variable === "DATABASE_URL") {
    const database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
    opened.push({ stop: () => database.drop() });
    targetUrl = database.url;
  }
  const proxy = await startTcpProxy({ targetUrl });
  opened.push({ stop: () => proxy.close() });
  const api = await startApiUnderTest({ env: { [variable]: proxy.url } });
  opened.push(api);
  return { api, proxy };
}

const image = { type: "image", prompt: "a cat" };

async function untilReady(api: ApiUnderTest, status: number): Promise<void> {
  while ((await api.request("health/ready")).status !== status) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("while PostgreSQL is away requests are answered with 503 and nothing is half done; then it works again", async () => {
  const { api, proxy } = await startBehind("DATABASE_URL");
  const accepted = (await (await api.post("generate", image)).json()) as { id: string };
  await proxy.cut();
  const requests = [
    () => api.request(`job/${accepted.id}`),
    () => api.request("jobs"),
    () => api.request("queue"),
    () => api.request("servers"),
    () => api.post("generate", image),
    () => api.post("batches", { jobs: [image] }),
    () => api.request(`jobs/${accepted.id}/cancel`, { method: "POST" }),
    () => api.request(`jobs/${accepted.id}/events`),
  ];
  for (const ask of requests) {
    const response = await ask();
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await response.json()).toMatchObject({ code: "store-unavailable" });
  }
  const health = await api.request("health");
  expect([health.status, await health.json()]).toMatchObject([
    200,
    { status: "unavailable", parts: { database: { status: "unavailable" }, redis: { status: "ok" } } },
  ]);
  await untilReady(api, 503);

  await proxy.restore();
  await untilReady(api, 200);
  expect(await (await api.request(`job/${accepted.id}`)).json()).toMatchObject({ status: "queued" });
  expect(await (await api.request("queue")).json()).toMatchObject({ counts: { queued: 1, cancelled: 0 } });
  expect((await api.post("generate", image)).status).toBe(202);
}, 180_000);

test("says that nothing was changed only if that is certain, and reports a slow database as slow", async () => {
  const { api, proxy } = await startBehind("DATABASE_URL");
  const { id } = (await (await api.post("generate", image)).json()) as { id: string };
  const cancel = (): Promise<Response> => api.request(`jobs/${id}/cancel`, { method: "POST" });
  const detailOf = async (response: Response): Promise<string> => {
    expect(response.status).toBe(503);
    return ((await response.json()) as { detail: string }).detail;
  };
  const { Client } = (await import("pg")).default;
  const operator = new Client({ connectionString: proxy.url });
  operator.on("error", () => undefined);
  await operator.connect();
  const untilWaiting = async (): Promise<void> => {
    const waiting =
      "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    // Within a transaction PostgreSQL shows the same figures again unless it is told to look anew.
    const look = (): Promise<{ rowCount: number | null }> =>
      operator.query("SELECT pg_stat_clear_snapshot()").then(() => operator.query(waiting));
    while ((await look()).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  // Another transaction holds the rows longer than a statement may take: PostgreSQL ends the statement, undone.
  await operator.query("BEGIN");
  await operator.query("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE");
  const details = await Promise.all([
    api.request("jobs").then(detailOf),
    api.post("generate", image).then(detailOf),
  ]);
  for (const detail of details)
    expect(detail).toBe("The database did not answer in time. Nothing was changed.");
  await operator.query("ROLLBACK");

  // The connection breaks while the statement waits: PostgreSQL does it once it can, and nobody hears of it.
  await operator.query("BEGIN");
  await operator.query("SELECT 1 FROM jobs FOR UPDATE");
  const cancelling = cancel();
  await untilWaiting();
  await proxy.cut();
  const unknown = "It is not known whether the request took effect; check before you repeat it.";
  expect(await detailOf(await cancelling)).toBe(`The database is not reachable right now. ${unknown}`);
  expect(await detailOf(await api.request("jobs"))).toBe(
    "The database is not reachable right now. Nothing was changed.",
  );
}, 180_000);

test("while Redis is away jobs are accepted, seen and cancelled; they get their tickets later", async () => {
  const { api, proxy } = await startBehind("REDIS_URL");
  await proxy.cut();
  const accepted = await api.post("generate", image);
  expect(accepted.status).toBe(202);
  const { id } = (await accepted.json()) as { id: string };
  expect(await (await api.request(`job/${id}`)).json()).toMatchObject({ status: "queued" });
  const batch = await api.post("batches", { jobs: [image, image] });
  expect(batch.status).toBe(202);
  expect((await api.request(`jobs/${id}/cancel`, { method: "POST" })).status).toBe(202);
  const waiting = await api.database.jobAnnouncer.listUnannounced(10);
  expect(waiting).toHaveLength(2);
  expect(await (await api.request("health")).json()).toMatchObject({
    status: "degraded",
    parts: { redis: { status: "unavailable" } },
  });
  const board = await api.request("/admin/queues");
  expect(board.status).toBe(503);
  await proxy.restore();
  while (
    ((await (await api.request("health")).json()) as { parts: { redis: { status: string } } }).parts.redis
      .status !== "ok"
  ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { id: later } = (await (await api.post("generate", image)).json()) as { id: string };
  const unannounced = async (): Promise<string[]> =>
    (await api.database.jobAnnouncer.listUnannounced(10)).map(({ jobId }) => jobId);
  while ((await unannounced()).includes(later)) await new Promise((resolve) => setTimeout(resolve, 20));
}, 180_000);

test("a start waits for PostgreSQL", async () => {
  const { api, proxy } = await startBehind("DATABASE_URL");
  await proxy.cut();
  const starting = api.startAnother();
  while (!api.logged.some((line) => /waiting for PostgreSQL/i.test(line))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await proxy.restore();
  const another = await starting;
  expect((await fetch(`${another.url}/api/anime/queue`)).status).toBe(200);
}, 180_000);

test("an internal error shows no details to clients", async () => {
  const { api } = await startBehind("DATABASE_URL");
  const { Client } = (await import("pg")).default;
  const client = new Client({ connectionString: api.env["DATABASE_URL"]! });
  await client.connect();
  await client.query("ALTER TABLE batches RENAME TO hidden_batches");
  await client.end();
  const response = await api.request("batches/00000000-0000-7000-8000-000000000001");
  const text = await response.text();
  expect(response.status).toBe(500);
  expect(JSON.parse(text)).toMatchObject({ code: "internal-error" });
  expect(text).not.toMatch(/batches["\s]|relation|prisma|\/src\/|postgres/i);
  const requestId = response.headers.get("x-request-id")!;
  expect(api.logged.some((line) => line.includes(requestId) && line.includes("could not be handled"))).toBe(
    true,
  );
});
