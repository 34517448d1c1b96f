import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  sleepWorkflow,
  startSimulatorProcess,
  startStack,
  startTcpProxy,
  quickSimulator,
  testServiceUrl,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let stack: Stack;
const proxies: TcpProxy[] = [];

beforeEach(async () => {
  database = await createMigratedDatabase();
}, 180_000);

afterEach(async () => {
  for (const proxy of proxies) proxy.thaw();
  await stack.stop();
  for (const proxy of proxies.splice(0)) await proxy.close();
  await database.drop();
}, 180_000);

const env = { LEASE_MS: "1500", SERVER_GRACE_MS: "3000" };
const workflow = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

async function proxyTo(targetUrl: string): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ targetUrl });
  proxies.push(proxy);
  return proxy;
}

describe("a worker that is asked to stop", () => {
  // The network stands still: connections stay, and nothing answers. Exit code 0 also says that it took less than 10 s.
  test.each(["Postgres", "Redis and ComfyUI"])(
    "ends with 0 within 10 s while %s stays silent, and its prompt is adopted",
    async (silent) => {
      const simulator = await startSimulatorProcess(["--port", "0", ...quickSimulator]);
      const [postgres, redis, comfyui] = await Promise.all([
        proxyTo(database.url),
        proxyTo(testServiceUrl("TEST_REDIS_URL")),
        proxyTo(simulator.url),
      ]);
      const comfyuiUrls = comfyui.url.replace(/\/$/, "");
      stack = await startStack({
        databaseUrl: database.url,
        env: { ...env, COMFYUI_URLS: comfyuiUrls },
        simulators: 0,
        workers: 0,
      });
      stack.simulators.push(simulator);
      const worker = await stack.startWorker({ DATABASE_URL: postgres.url, REDIS_URL: redis.url });
      const api = new ApiClient(stack.url);
      const id = await api.submit(workflow(3));
      await api.until(id, (job) => job.phase === "executing");
      for (const proxy of silent === "Postgres" ? [postgres] : [redis, comfyui]) proxy.freeze();
      expect(await worker.stop()).toBe(0);
      comfyui.thaw();
      await stack.startWorker();
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await simulator.executions()).toHaveLength(1);
    },
    180_000,
  );

  test("keeps a job whose POST may still arrive until its lease runs out, so that it is not rendered twice", async () => {
    const simulator = await startSimulatorProcess(["--port", "0", ...quickSimulator]);
    const comfyui = await proxyTo(simulator.url);
    const leaseMs = 6_000;
    stack = await startStack({
      databaseUrl: database.url,
      env: { ...env, LEASE_MS: String(leaseMs), COMFYUI_URLS: comfyui.url.replace(/\/$/, "") },
      simulators: 0,
    });
    stack.simulators.push(simulator);
    const [first] = stack.workers;
    await first!.line(/server takes work/);
    await stack.startWorker();
    // The network holds the POST back: its sender gives up and leaves before it arrives.
    const posted = new Promise<void>((resolve) => {
      comfyui.observe(({ direction, data }) => {
        if (direction === "to-client" || !data.toString("latin1").startsWith("POST /prompt ")) return;
        comfyui.delay(leaseMs * 0.75);
        queueMicrotask(() => {
          comfyui.delay(0);
          resolve();
        });
      });
    });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(0.5));
    await posted;
    expect(await first!.stop()).toBe(0);
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await simulator.executions()).toHaveLength(1);
  }, 180_000);
});
