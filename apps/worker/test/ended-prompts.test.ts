import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { ApiClient, sleepWorkflow, type SimulatorProcess } from "@genga/testing";
import { type OddComfyUI } from "./support/odd-comfyui.ts";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

let simulator: SimulatorProcess;
let odd: OddComfyUI;
let stack: OddStack;

beforeAll(async () => {
  stack = await startOddStack({ env: { LEASE_MS: "1500", SERVER_GRACE_MS: "2000" } });
  ({ odd } = stack);
  [simulator] = stack.simulators as [SimulatorProcess];
}, 180_000);
afterAll(async () => {
  await stack.stop();
}, 180_000);

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(50);
}

/** What the simulated server says at a path. */
async function told(path: string): Promise<string> {
  return await (await fetch(new URL(path, simulator.url))).text();
}

test("a prompt of a removed job stays known until its server, which was away, has let go of it", async () => {
  const api = new ApiClient(stack.url);
  const [worker] = stack.workers;
  // Longer than the test, so that nothing ends by itself, in steps of which each can be interrupted.
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(200, { steps: 100 }) });
  await api.until(id, (job) => job.phase === "executing");
  const [promptId] = await simulator.executions();
  simulator.signal("SIGSTOP");
  await api.until(id, (job) => job.status === "queued");
  await api.cancel(id);
  expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(204);

  // Its history can be read and changed, its queue only read.
  odd.refuse = (method, path) =>
    method === "POST" && !path.endsWith("/history") ? { status: 503, body: "{}" } : undefined;
  simulator.signal("SIGCONT");
  await worker!.line(/entries of ended prompts were deleted from the servers/);
  expect(await told("/queue")).toContain(promptId);
  odd.refuse = null;
  await worker!.line(/a prompt whose attempt has ended was removed/);
  await until(async () => !(await told("/queue")).includes(promptId!));

  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  await until(async () => (await client.query("SELECT FROM prompts_to_forget")).rowCount === 0);
  await client.end();
  expect(await told("/history")).toBe("{}");
}, 180_000);

test("the entries of prompts that end within a moment are deleted by few requests", async () => {
  const api = new ApiClient(stack.url);
  const deletions: string[] = [];
  odd.refuse = (method, path) => {
    if (method === "POST" && path.endsWith("/history")) deletions.push(path);
    return undefined;
  };
  const ids = await Promise.all(
    Array.from({ length: 12 }, () => api.submit({ type: "workflow", workflow: sleepWorkflow(0.01) })),
  );
  for (const id of ids) await api.until(id, (job) => job.status === "completed");
  await until(async () => (await told("/history")) === "{}");
  odd.refuse = null;
  expect(deletions.length).toBeLessThan(ids.length);
}, 180_000);
