import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { sleepWorkflow, type SimulatorProcess } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// The hook restarts the simulated server by its controls, and notes when it began and ended.

let stack: TestStack;
let folder: string;

const hook = `
import { appendFile, readFile } from "node:fs/promises";
const folder = process.argv[2];
const note = (event) => appendFile(folder + "/hooks", JSON.stringify({ event, url: process.env.GENGA_SERVER_URL,
  id: process.env.GENGA_SERVER_ID, reason: process.env.GENGA_RECYCLE_REASON, databaseUrl: process.env.DATABASE_URL ?? null }) + "\\n");
const { controls, exitCode, waitMs } = JSON.parse(await readFile(folder + "/plan", "utf8"));
await note("began");
await new Promise((resolve) => setTimeout(resolve, waitMs));
if (exitCode === 0) await fetch(controls[process.env.GENGA_SERVER_URL] + "/faults",
  { method: "POST", body: JSON.stringify({ kind: "restart", downMs: 300 }) });
console.log("the server was", exitCode === 0 ? "restarted" : "left alone");
await note("ended");
process.exit(exitCode);
`;

async function plan({ exitCode = 0, waitMs = 0 } = {}): Promise<void> {
  const controls = Object.fromEntries(stack.simulators.map(({ url, controlUrl }) => [url, controlUrl]));
  await writeFile(join(folder, "plan"), JSON.stringify({ controls, exitCode, waitMs }));
}

interface Noted {
  event: "began" | "ended";
  url: string;
  id: string;
  reason: string;
  databaseUrl: string | null;
}

async function noted(): Promise<Noted[]> {
  const text = await readFile(join(folder, "hooks"), "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Noted]));
}

interface ShownServer {
  id: string;
  url: string;
  state: string;
  draining: boolean;
  promptsSinceRecycle: number;
  recycling: { reason: string } | null;
  lastRecycle: { reason: string; outcome: string; message: string | null } | null;
}

async function servers(): Promise<ShownServer[]> {
  return ((await (await stack.api.request("GET", "servers")).json()) as { servers: ShownServer[] }).servers;
}

/** Asks the API until the answer is as wanted; `seen` gets every answer. */
async function until(
  isAsWanted: (shown: ShownServer[]) => boolean,
  seen: (shown: ShownServer[]) => void = () => undefined,
): Promise<ShownServer[]> {
  for (;;) {
    const shown = await servers();
    seen(shown);
    if (isAsWanted(shown)) return shown;
    await sleep(50);
  }
}

const takesWork = ({ state }: ShownServer): boolean => state === "online" || state === "probing";
const job = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });
const post = (path: string): Promise<Response> => stack.api.request("POST", path);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-recycling-"));
  await writeFile(join(folder, "hook.mjs"), hook);
  stack = await startTestStack({
    simulators: 2,
    workers: 0,
    env: {
      LEASE_MS: "3000",
      RECYCLE_HOOK: JSON.stringify([process.execPath, join(folder, "hook.mjs"), folder]),
    },
  });
  await plan();
  await stack.startWorker();
  await until((shown) => shown.length === 2 && shown.every(takesWork));
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await rm(folder, { recursive: true, force: true });
}, 180_000);

test("when an operator asks: its prompts end first, one server at a time, and it works again after the restart", async () => {
  const worker = stack.workers[0]!;
  // One executes on each server, and one waits behind each.
  const jobIds = await Promise.all(Array.from({ length: 4 }, () => stack.api.submit(job(3))));
  await Promise.all(jobIds.map((id) => stack.api.until(id, ({ phase }) => phase !== "waiting")));
  const before = await servers();
  for (const { id } of before) {
    const asked = await post(`servers/${id}/recycle`);
    expect([asked.status, await asked.json()]).toEqual([202, { id, recycling: true }]);
    expect((await post(`servers/${id}/recycle`)).status).toBe(202);
  }
  expect((await post("servers/01985b3f-0000-7000-8000-000000000000/recycle")).status).toBe(404);
  const states = new Set<string>();
  const after = await until(
    (shown) => shown.every((server) => server.lastRecycle !== null && takesWork(server)),
    (shown) => {
      states.add(
        shown
          .map(({ state }) => (state === "recycling" ? state : "other"))
          .sort()
          .join(),
      );
    },
  );
  expect(states).toContain("other,recycling");
  expect(states).not.toContain("recycling,recycling");
  for (const { lastRecycle, recycling } of after) {
    expect(recycling).toBeNull();
    expect(lastRecycle).toMatchObject({
      ...{ reason: "an operator asked for it", outcome: "done" },
      message: expect.stringMatching(/ended with 0\. Its last output: the server was restarted$/),
    });
  }
  // A prompt that waits is given back, or taken back for the other server; none is lost.
  for (const id of jobIds) {
    expect(await stack.api.untilEnded(id)).toMatchObject({ status: "completed" });
    const { attempts } = (await (await stack.api.request("GET", `jobs/${id}/attempts`)).json()) as {
      attempts: { failure: { code: string } | null }[];
    };
    const codes = attempts.slice(0, -1).map(({ failure }) => failure?.code);
    expect(codes.filter((code) => code !== "taken-back" && code !== "given-back")).toEqual([]);
  }
  const executions = (await Promise.all(stack.simulators.map((simulator) => simulator.executions()))).flat();
  expect(executions).toHaveLength(4);
  const notes = await noted();
  expect(notes.map(({ event }) => event)).toEqual(["began", "ended", "began", "ended"]);
  expect(new Set(notes.map(({ url }) => url))).toEqual(new Set(before.map(({ url }) => url)));
  expect(notes[0]).toMatchObject({ reason: "an operator asked for it", databaseUrl: null });
  const audit = (await (await stack.api.request("GET", "audit-events")).json()) as {
    events?: { action: string }[];
    auditEvents?: { action: string }[];
  };
  expect(JSON.stringify(audit).match(/"server-recycled"/g)).toHaveLength(2);
  const metrics = await (await fetch(new URL("/metrics", String(worker.details["health"])))).text();
  expect(metrics).toContain('genga_server_recycles_total{cause="asked",outcome="done",service="worker"} 2');
  expect(await stack.api.untilEnded(await stack.api.submit(job(0.1)))).toMatchObject({ status: "completed" });
}, 180_000);

test("a hook that fails is told with its output; the server works again, and stays drained if an operator drained it", async () => {
  await plan({ exitCode: 3 });
  const [first, second] = await servers();
  await post(`servers/${first!.id}/drain`);
  await post(`servers/${first!.id}/recycle`);
  const find = (shown: ShownServer[]): ShownServer => shown.find(({ id }) => id === first!.id)!;
  const after = find(
    await until((shown) => find(shown).lastRecycle?.outcome === "hook-failed" && takesWork(find(shown))),
  );
  expect(after.lastRecycle?.message).toBe(
    "The hook ended with 3. Its last output: the server was left alone",
  );
  expect(after.draining).toBe(true);
  await post(`servers/${second!.id}/drain`);
  await post(`servers/${first!.id}/resume`);
  expect(await stack.api.untilEnded(await stack.api.submit(job(0.1)))).toMatchObject({ status: "completed" });
  await post(`servers/${second!.id}/resume`);
}, 180_000);

test("if the worker dies in the middle, the next one recycles the server, which is not held back for ever", async () => {
  await plan({ waitMs: 2_000 });
  const [first] = await servers();
  const before = (await noted()).length;
  await post(`servers/${first!.id}/recycle`);
  while ((await noted()).length === before) await sleep(20);
  const [dead] = stack.workers.splice(0, 1);
  dead!.signal("SIGKILL");
  // The hook of the dead worker goes on.
  while ((await noted()).length < before + 2) await sleep(20);
  await plan();
  await stack.startWorker();
  const find = (shown: ShownServer[]): ShownServer => shown.find(({ id }) => id === first!.id)!;
  await until(
    (shown) =>
      find(shown).lastRecycle?.outcome === "done" && find(shown).recycling === null && takesWork(find(shown)),
  );
  expect((await noted()).slice(before).map(({ event, id }) => [event, id])).toEqual(
    ["began", "ended", "began", "ended"].map((event) => [event, first!.id]),
  );
  expect(await stack.api.untilEnded(await stack.api.submit(job(0.1)))).toMatchObject({ status: "completed" });
}, 180_000);

async function freeBytes({ url }: SimulatorProcess): Promise<number> {
  const stats = (await (await fetch(`${url}/system_stats`)).json()) as { system: { ram_free: number } };
  return stats.system.ram_free;
}

test("after so many jobs, without a hook: the server unloads its models", async () => {
  await stack.workers.splice(0, 1)[0]!.stop();
  await stack.startWorker({ RECYCLE_HOOK: "", RECYCLE_AFTER_JOBS: "3", RECYCLE_INTERVAL_MS: "0" });
  await until((shown) => shown.every(takesWork));
  const [, second] = await servers();
  await post(`servers/${second!.id}/drain`);
  const simulator = stack.simulators.find(({ url }) => url !== second!.url)!;
  const empty = await freeBytes(simulator);
  const image = { type: "image", prompt: "a red kite", width: 256, height: 256, steps: 1 };
  const counted = (await servers()).find(({ id }) => id !== second!.id)!.promptsSinceRecycle;
  for (let index = counted; index < 3; index += 1) {
    await stack.api.untilEnded(await stack.api.submit({ ...image, seed: index }));
    if (index < 2) expect(await freeBytes(simulator)).toBeLessThan(empty);
  }
  const find = (shown: ShownServer[]): ShownServer => shown.find(({ id }) => id !== second!.id)!;
  const after = find(
    await until(
      (shown) => /^after \d jobs$/.test(find(shown).lastRecycle?.reason ?? "") && takesWork(find(shown)),
    ),
  );
  expect(after).toMatchObject({ promptsSinceRecycle: 0, lastRecycle: { outcome: "done", message: null } });
  while ((await freeBytes(simulator)) < empty) await sleep(50);
}, 180_000);
