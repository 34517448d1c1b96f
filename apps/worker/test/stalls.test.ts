import { afterEach, expect, test } from "@jest/globals";
import { sleepWorkflow } from "@genga/testing";
import pg from "pg";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

/** Steps take a tenth of a second, so a machine has to stand still for most of this before a talking prompt seems silent. */
const stallMs = 4_000;

let stack: TestStack;

afterEach(async () => {
  await stack.stop();
}, 180_000);

test("a prompt of which nothing is heard is interrupted and tried elsewhere, until three servers stalled with it", async () => {
  stack = await startTestStack({ simulators: 3, env: { STALL_MS: String(stallMs) } });
  const { api } = stack;
  const silent = await api.submit({ type: "workflow", workflow: sleepWorkflow(16, { steps: 1 }) });
  const talking = await api.submit({ type: "workflow", workflow: sleepWorkflow(6, { steps: 60 }) });
  expect(await api.untilEnded(talking)).toMatchObject({ status: "completed" });
  expect(await api.untilEnded(silent)).toMatchObject({ status: "failed" });
  expect((await attemptsOf(talking)).map(({ failure }) => failure?.code)).toEqual([undefined]);
  const attempts = await attemptsOf(silent);
  expect(attempts.map(({ failure }) => failure?.code)).toEqual([
    "prompt-stalled",
    "prompt-stalled",
    "poison",
  ]);
  for (const { serverUrl } of attempts) expect(attempts[2]!.failure?.message).toContain(serverUrl);
}, 180_000);

test("a worker that was paused does not take its own silence for the prompt's", async () => {
  const env = { STALL_MS: String(stallMs), LEASE_MS: String(stallMs + 1_000) };
  stack = await startTestStack({ env });
  const { api } = stack;
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(12, { steps: 120 }) });
  await api.until(id, (job) => job.phase === "executing");
  stack.workers[0]!.signal("SIGSTOP");
  await untilLeaseRanOut(id);
  stack.workers[0]!.signal("SIGCONT");
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  expect(await stack.simulators[0]!.executions()).toHaveLength(1);
}, 180_000);

interface Attempt {
  serverUrl: string;
  failure: { code: string; message: string } | null;
}

/** Without attempts that waited behind another prompt and were taken back for an empty server. */
async function attemptsOf(jobId: string): Promise<Attempt[]> {
  const answer = await stack.api.request("GET", `jobs/${jobId}/attempts`);
  const { attempts } = (await answer.json()) as { attempts: Attempt[] };
  return attempts.filter(({ failure }) => failure?.code !== "taken-back");
}

/** By the database's clock, in one statement that waits there. */
async function untilLeaseRanOut(jobId: string): Promise<void> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  await client.query(
    "SELECT pg_sleep(extract(epoch FROM lease_expires_at - clock_timestamp()) + 0.2) FROM jobs WHERE id = $1",
    [jobId],
  );
  await client.end();
}
