import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  type Stack,
  type TcpProxy,
  type TestDatabase,
  askUntil,
} from "@genga/testing";

// Processes that wait for their migrations, and workers that tell how they are.

let database: TestDatabase;
let stack: Stack;
/** Between the first worker, or the API, and PostgreSQL. */
let network: TcpProxy;
let networkOfApi: TcpProxy;

/** Resolves when a process has looked through this proxy whether the migrations are there. */
function looksForMigrations(proxy: TcpProxy): Promise<void> {
  return new Promise((resolve) => {
    const stop = proxy.observe(({ data }) => {
      if (!data.includes("_prisma_migrations")) return;
      stop();
      resolve();
    });
  });
}

beforeAll(async () => {
  // Nobody has migrated it yet.
  database = await createTestDatabase();
  stack = await startStack({ databaseUrl: database.url, apis: 0, workers: 0, env: { LEASE_MS: "2000" } });
  network = await startTcpProxy({ targetUrl: database.url });
  networkOfApi = await startTcpProxy({ targetUrl: database.url });
  const looking = Promise.all([network, networkOfApi].map(looksForMigrations));
  const starting = Promise.all([
    stack.startApi({ DATABASE_URL: networkOfApi.url }),
    stack.startWorker({ DATABASE_URL: network.url }),
  ]);
  // A process that does not wait ends instead.
  await Promise.race([looking, starting]);
  await migrate({ databaseUrl: database.url });
  await starting;
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await Promise.all([network.close(), networkOfApi.close()]);
  await database.drop();
}, 180_000);

interface Listed {
  workers: { id: string; healthUrl: string; serversOwned: number }[];
}

test("several workers on one machine answer on ports of their own, which the list of workers names", async () => {
  await stack.startWorker();
  const api = new ApiClient(stack.url);
  const { workers } = await askUntil(
    async () => (await (await api.request("GET", "workers")).json()) as Listed,
    (listed) => listed.workers.length === 2,
  );
  expect(new Set(workers.map(({ healthUrl }) => healthUrl)).size).toBe(2);
  for (const { id, healthUrl } of workers) {
    expect(healthUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/health$/);
    const health = await fetch(healthUrl);
    expect([health.status, await health.json()]).toMatchObject([
      200,
      { status: "ok", workerId: id, isPaused: false },
    ]);
    const metrics = await (await fetch(new URL("/metrics", healthUrl))).text();
    expect(metrics).toContain('genga_worker_jobs_held{service="worker"} 0');
    expect(metrics).toContain("nodejs_eventloop_lag_seconds");
    expect(metrics).toContain('genga_dependency_up{dependency="database",service="worker"} 1');
    expect(metrics).toContain('genga_dependency_up{dependency="redis",service="worker"} 1');
    for (const path of ["/health/live", "/health/ready"])
      expect((await fetch(new URL(path, healthUrl))).status).toBe(200);
    expect((await fetch(new URL("/anything", healthUrl))).status).toBe(404);
    expect((await fetch(healthUrl, { method: "POST" })).status).toBe(405);
  }
});

test("a worker says that it is not well once its leases have run out, and that it is well when they are renewed", async () => {
  const healthUrl = String(stack.workers[0]!.details["health"]);
  const untilStatus = async (status: number): Promise<unknown> => {
    for (;;) {
      const health = await fetch(healthUrl);
      if (health.status === status) return await health.json();
      await health.arrayBuffer();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  expect(await untilStatus(200)).toMatchObject({ status: "ok" });
  await network.cut();
  const { leasesRenewedAgoMs } = (await untilStatus(503)) as { leasesRenewedAgoMs: number };
  expect(leasesRenewedAgoMs).toBeGreaterThanOrEqual(2_000);
  const ready = await fetch(new URL("/health/ready", healthUrl));
  expect([ready.status, await ready.json()]).toEqual([
    503,
    { status: "not-ready", reason: "leases-expired" },
  ]);
  // A restart would not bring the database back.
  expect((await fetch(new URL("/health/live", healthUrl))).status).toBe(200);
  const metrics = await (await fetch(new URL("/metrics", healthUrl))).text();
  expect(metrics).toContain('genga_dependency_up{dependency="database",service="worker"} 0');
  expect(metrics).not.toContain('genga_dependency_latency_seconds{dependency="database"');
  await network.restore();
  expect(await untilStatus(200)).toMatchObject({ status: "ok" });
}, 180_000);

test("a worker's figures tell what it owns and runs", async () => {
  const api = new ApiClient(stack.url);
  const job = { type: "workflow", workflow: sleepWorkflow(30) };
  const id = await api.submit(job);
  await api.until(id, ({ phase }) => phase === "executing");
  const texts = await Promise.all(
    stack.workers.map(async ({ details }) =>
      (await fetch(new URL("/metrics", String(details["health"])))).text(),
    ),
  );
  const figuresOf = (name: string): string[] =>
    texts
      .map((text) => new RegExp(`^genga_worker_${name}\\{.*\\} (\\d+)$`, "m").exec(text)?.[1] ?? "none")
      .toSorted();
  expect([figuresOf("servers_owned"), figuresOf("jobs_held"), figuresOf("farm_paused")]).toEqual([
    ["0", "1"],
    ["0", "1"],
    ["0", "0"],
  ]);
  await api.cancel(id);
  await api.untilEnded(id);
});

test("metrics tell how the runs went and what the servers did, and name neither jobs nor addresses", async () => {
  const api = new ApiClient(stack.url);
  const good = await api.submit({ type: "workflow", workflow: sleepWorkflow(0.01) });
  expect(await api.untilEnded(good)).toMatchObject({ status: "completed" });
  const texts = await Promise.all(
    stack.workers.map(async ({ details }) =>
      (await fetch(new URL("/metrics", String(details["health"])))).text(),
    ),
  );
  const sumOf = (name: string, labels: string): number =>
    texts
      .flatMap((text) => text.split("\n"))
      .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
      .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  const attempts = "genga_attempts_ended_total";
  expect(sumOf(attempts, 'type="workflow",outcome="completed",error_class="none"')).toBe(1);
  expect(sumOf(attempts, 'type="workflow",outcome="cancelled",error_class="none"')).toBe(1);
  expect(sumOf("genga_jobs_ended_total", 'type="workflow",status="completed"')).toBe(1);
  expect(sumOf("genga_job_queue_wait_seconds_count", 'type="workflow"')).toBe(2);
  expect(sumOf("genga_job_run_seconds_count", 'type="workflow"')).toBe(1);
  const servers = (await (await api.request("GET", "servers")).json()) as {
    servers: { id: string; url: string }[];
  };
  const [{ id, url }] = servers.servers as [{ id: string; url: string }];
  expect(sumOf("genga_server_slots", `server="${id}"`)).toBe(2);
  expect(sumOf("genga_server_busy_seconds_total", `server="${id}"`)).toBeGreaterThan(0);
  for (const text of texts) for (const hidden of [url, good]) expect(text).not.toContain(hidden);
  // Every log line about a run says which run it is.
  const lines = stack.workers.flatMap((worker) => worker.lines.filter((line) => line.includes(good)));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const logged: unknown = JSON.parse(line);
    expect(logged).toMatchObject({ jobId: good, attempt: 1, server: url, promptId: expect.any(String) });
  }
  const farm = await (await fetch(`${stack.url}/metrics`)).text();
  expect(farm).toContain(`genga_server_state{server="${id}",url="${url}",state="online",service="api"} 1`);
  expect(farm).toContain(`genga_server_draining{server="${id}",url="${url}",service="api"} 0`);
  expect(farm).toContain('genga_dependency_up{dependency="redis",service="api"} 1');
});
