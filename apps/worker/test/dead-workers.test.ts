import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

const leaseMs = 2_000;
/** The API remembers the servers' rows for one second, and a busy machine answers late. */
const toleranceMs = 2_500;

let stack: TestStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startTestStack({
    simulators: 2,
    env: { LEASE_MS: String(leaseMs) },
  });
  ({ api } = stack);
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

interface Health {
  status: string;
  parts: Record<"servers" | "workers", { status: string; detail: string | null }>;
}

async function get<Answer>(path: string): Promise<Answer> {
  return (await (await api.request("GET", path)).json()) as Answer;
}

async function healthWith(status: string): Promise<Health> {
  for (;;) {
    const health = await get<Health>("health");
    if (health.status === status) return health;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("one lease after the last worker died, every view of the farm says so", async () => {
  expect((await healthWith("ok")).parts.workers).toMatchObject({ status: "ok", detail: "1 alive" });
  stack.workers[0]!.signal("SIGKILL");
  await stack.workers[0]!.exited;
  const diedAt = performance.now();
  const id = await api.submit({ type: "image", prompt: "x", width: 256, height: 256, steps: 1 });

  const health = await healthWith("degraded");
  expect(performance.now() - diedAt).toBeLessThan(leaseMs + toleranceMs);
  expect(health.parts).toMatchObject({
    servers: { status: "unavailable", detail: "0 of 2 online" },
    workers: { status: "unavailable", detail: "no worker is alive" },
  });
  const unowned = { state: "unowned", stateReason: "No worker is alive.", worker: null };
  expect(await get("servers")).toMatchObject({ servers: [unowned, unowned] });
  expect(await get("queue")).toMatchObject({
    servers: { total: 2, online: 0, unowned: 2, slots: 0 },
    workers: { alive: 0 },
  });
  expect(await get(`job/${id}`)).toMatchObject({
    waitingFor: { code: "no-worker", message: "No worker is alive: nothing runs until one is started." },
  });

  const ready = await api.request("GET", "health/ready");
  expect([ready.status, await ready.json()]).toMatchObject([
    200,
    { status: "ready", parts: { database: { status: "ok" }, workers: { detail: "no worker is alive" } } },
  ]);

  await stack.startWorker();
  expect((await healthWith("ok")).parts.servers.detail).toBe("2 of 2 online");
  await api.untilEnded(id);
}, 180_000);

test("a server that no live worker reaches is shown without one", async () => {
  const [first, second] = stack.simulators;
  await stack.startWorker({ COMFYUI_URLS: first!.url });
  while ((await get<Health>("health")).parts.workers.detail !== "2 alive") {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stack.workers[1]!.stop();
  const byUrl = async (url: string): Promise<unknown> =>
    (await get<{ servers: { url: string; state: string }[] }>("servers")).servers.find(
      (server) => server.url === url,
    );
  for (;;) {
    const shown = await byUrl(second!.url);
    if ((shown as { state: string }).state === "unowned") {
      expect(shown).toMatchObject({ stateReason: "No worker owns this server.", worker: null });
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await healthWith("ok")).toMatchObject({
    parts: { servers: { detail: "1 of 2 online; no worker owns 1" }, workers: { detail: "1 alive" } },
  });
}, 180_000);
