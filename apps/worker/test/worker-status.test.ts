import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import { ApiClient, createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";

// Processes that wait for their migrations, and workers that tell how they are.

let database: TestDatabase;
let stack: Stack;

beforeAll(async () => {
  // Nobody has migrated it yet.
  database = await createTestDatabase();
  const starting = startStack({ databaseUrl: database.url, env: { LEASE_MS: "2000" } });
  starting.catch(() => undefined);
  await migrate({ databaseUrl: database.url });
  stack = await starting;
}, 60_000);

afterAll(async () => {
  await stack.stop();
  await database.drop();
}, 30_000);

interface Listed {
  workers: { id: string; healthUrl: string; serversOwned: number }[];
}

test("several workers on one machine answer on ports of their own, which the list of workers names", async () => {
  await stack.startWorker();
  const api = new ApiClient(stack.url);
  let workers: Listed["workers"];
  do {
    ({ workers } = (await (await api.request("GET", "workers")).json()) as Listed);
  } while (workers.length < 2);
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
    expect((await fetch(new URL("/anything", healthUrl))).status).toBe(404);
    expect((await fetch(healthUrl, { method: "POST" })).status).toBe(405);
  }
});
