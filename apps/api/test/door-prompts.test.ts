import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { type Job, type LeasedJob } from "@genga/jobs";
import { askUntil, buildFailure } from "@genga/testing";
import pg from "pg";
import { recordedDefinitions, startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

// What becomes of prompts that are sent again, taken out of the queue and interrupted. The test does what a worker does.

const keys = { own: "key-of-studio", second: "second-key" };
type Key = keyof typeof keys;
let api: ApiUnderTest;
let door: string;
let serverId: string;
let tenantId: string;

beforeAll(async () => {
  const given = Object.values(keys).map((key) => `studio:submit:${key}`);
  api = await startApiUnderTest({ env: { API_KEYS: given.join(","), COMFYUI_DOOR_PORT: "0" } });
  door = api.doorUrl!;
  serverId = await api.worker.registerServer("http://gpu-1", await recordedDefinitions("core"));
  tenantId = (await api.database.tenants.ensureTenants(["studio"]))[0]!.id;
});
afterEach(async () => {
  for (const leased of claimed.splice(0)) {
    const { status, attempt } = await found(leased.jobId);
    if (status === "processing" && attempt === leased.attempt)
      await api.worker.end(leased, { kind: "cancelled" });
  }
  for (const key of ["own", "second"] as const) await send("/queue", { clear: true }, key);
});
afterAll(async () => {
  await api.stop();
});

const claimed: LeasedJob[] = [];
let color = 0;
/** A graph that was not sent before. */
function newGraph(): object {
  color += 1;
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "7": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "door" } },
  };
}
const newPrompt = (): { prompt: object; prompt_id: string; client_id: string } => ({
  ...{ prompt: newGraph(), prompt_id: randomUUID(), client_id: "script" },
});
const authorization = (key: Key): Record<string, string> => ({ authorization: `Bearer ${keys[key]}` });
const send = (path: string, body: unknown, key: Key = "own"): Promise<Response> =>
  fetch(`${door}${path}`, { method: "POST", headers: authorization(key), body: JSON.stringify(body) });
async function submit(prompt: object, key: Key = "own"): Promise<number> {
  const response = await send("/prompt", prompt, key);
  expect(response.status).toBe(200);
  return ((await response.json()) as { number: number }).number;
}
/** The ids of prompts in the queue of a key. */
async function queued(key: Key = "own"): Promise<{ running: string[]; pending: string[] }> {
  const response = await fetch(`${door}/queue`, { headers: authorization(key) });
  const { queue_running: running, queue_pending: pending } = (await response.json()) as Record<
    "queue_running" | "queue_pending",
    [number, string][]
  >;
  return { running: running.map(([, id]) => id), pending: pending.map(([, id]) => id) };
}
async function jobOf(promptId: string): Promise<string> {
  const [newest] = await api.database.doorPrompts.findByPromptIds(tenantId, [promptId]);
  return newest!.jobId;
}
/** The newest job of the prompt id is sent to the server, and does not run yet. */
async function claim(promptId: string): Promise<LeasedJob> {
  const leased = await api.worker.claim(await jobOf(promptId), serverId);
  claimed.push(leased);
  return leased;
}
async function begin(promptId: string): Promise<LeasedJob> {
  const leased = await claim(promptId);
  await api.worker.report(leased, "executing", { percent: 1 });
  return leased;
}
/** A prompt that waits in the queue of the server, behind another one. */
async function waitOnServer(prompt: { prompt_id: string }): Promise<LeasedJob> {
  const running = newPrompt();
  await submit(running);
  await begin(running.prompt_id);
  await submit(prompt);
  return await claim(prompt.prompt_id);
}
async function found(jobId: string): Promise<Job> {
  const job = await api.database.jobRuns.findJob(jobId);
  if (job === null || job === "removed") throw new Error(`There is no job ${jobId}.`);
  return job;
}

describe("a prompt that is sent again while it runs", () => {
  test("is the same job for the client that sent it, and another one for others, also with another key", async () => {
    const prompt = newPrompt();
    const first = await submit(prompt);
    expect(await submit(prompt)).toBe(first);
    await submit({ ...prompt, client_id: "restarted" });
    expect(await queued()).toEqual({ running: [], pending: [prompt.prompt_id, prompt.prompt_id] });
    const [newest] = await api.database.doorPrompts.findByPromptIds(tenantId, [prompt.prompt_id]);
    expect(newest).toMatchObject({ clientId: "restarted" });
    await submit(prompt, "second");
    expect(await queued("second")).toEqual({ running: [], pending: [prompt.prompt_id] });
  });

  test("is a new job if it was taken out of the queue of a server, or interrupted, which its worker has yet to confirm", async () => {
    for (const wasRunning of [false, true]) {
      const prompt = newPrompt();
      if (wasRunning) {
        await submit(prompt);
        await begin(prompt.prompt_id);
        await send("/interrupt", { prompt_id: prompt.prompt_id });
      } else {
        await waitOnServer(prompt);
        await send("/queue", { delete: [prompt.prompt_id] });
      }
      const old = await jobOf(prompt.prompt_id);
      expect(await found(old)).toMatchObject({ status: "processing", cancelRequestedAt: expect.any(Date) });
      const number = await submit(prompt);
      expect(await jobOf(prompt.prompt_id)).not.toBe(old);
      expect((await queued()).pending).toEqual([prompt.prompt_id]);
      expect(await submit(prompt)).toBe(number);
      await send("/queue", { clear: true });
    }
  });
});

describe("an interrupt", () => {
  test.each([
    ["by its id", (promptId: string) => ({ prompt_id: promptId })],
    ["with all others", () => ({})],
  ])("ends a prompt that has begun, and waits to run again after its server failed, %s", async (_, body) => {
    const [prompt, waiting] = [newPrompt(), newPrompt()];
    await submit(prompt);
    await submit(waiting);
    const leased = await begin(prompt.prompt_id);
    const lost = { failure: buildFailure(), delayMs: 0, charged: false, avoidServer: true };
    await api.worker.end(leased, { kind: "requeue", ...lost });
    expect(await found(leased.jobId)).toMatchObject({ status: "queued" });
    await send("/interrupt", body(prompt.prompt_id));
    expect(await found(leased.jobId)).toMatchObject({ status: "cancelled" });
    expect(await queued()).toEqual({ running: [], pending: [waiting.prompt_id] });
  });

  test("leaves a prompt that failed and waits again because somebody asked for a retry", async () => {
    const prompt = newPrompt();
    await submit(prompt);
    const leased = await begin(prompt.prompt_id);
    await api.worker.end(leased, { kind: "failed", failure: buildFailure() });
    await api.database.jobRequests.retryJob(leased.jobId);
    await send("/interrupt", {});
    await send("/interrupt", { prompt_id: prompt.prompt_id });
    expect(await found(leased.jobId)).toMatchObject({ status: "queued" });
    const again = await begin(prompt.prompt_id);
    await send("/interrupt", {});
    expect(await found(again.jobId)).toMatchObject({ cancelRequestedAt: expect.any(Date) });
  });

  test("with a body that is neither an object nor empty is refused, and interrupts nothing", async () => {
    const prompt = newPrompt();
    await submit(prompt);
    const { jobId } = await begin(prompt.prompt_id);
    for (const body of [null, [], [{ prompt_id: prompt.prompt_id }], prompt.prompt_id, 1, false]) {
      const response = await send("/interrupt", body);
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { error: { type: "bad_request" } },
      ]);
    }
    expect(await found(jobId)).toMatchObject({ cancelRequestedAt: null });
    expect((await send("/interrupt", {})).status).toBe(200);
    expect(await found(jobId)).toMatchObject({ cancelRequestedAt: expect.any(Date) });
  });
});

test.each([
  ["deleted", (promptId: string) => ({ delete: [promptId] })],
  ["cleared with all others", () => ({ clear: true })],
])("a prompt that begins while it is being %s goes on", async (_, body) => {
  const prompt = newPrompt();
  const { jobId } = await waitOnServer(prompt);
  const client = new pg.Client({ connectionString: api.env["DATABASE_URL"] });
  await client.connect();
  try {
    await client.query("BEGIN");
    await client.query("UPDATE jobs SET phase = 'executing', started_at = now() WHERE id = $1", [jobId]);
    const deleted = send("/queue", body(prompt.prompt_id));
    const waiting = "NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    await askUntil(
      () => client.query(`SELECT FROM pg_locks WHERE ${waiting}`),
      ({ rowCount }) => rowCount !== 0,
    );
    await client.query("COMMIT");
    expect((await deleted).status).toBe(200);
  } finally {
    await client.end();
  }
  expect(await found(jobId)).toMatchObject({ status: "processing", cancelRequestedAt: null });
  expect((await queued()).running).toContain(prompt.prompt_id);
});
