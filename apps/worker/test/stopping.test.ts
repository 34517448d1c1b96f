import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
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

let database: TestDatabase;
let stack: Stack;
const proxies: TcpProxy[] = [];

beforeEach(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
}, 30_000);

afterEach(async () => {
  for (const proxy of proxies) proxy.thaw();
  await stack.stop();
  for (const proxy of proxies.splice(0)) await proxy.close();
  await database.drop();
}, 30_000);

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
    60_000,
  );
});
