import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { sleepWorkflow } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Jobs are accepted before any server was known, so what they need of a server is guessed from the names in their graphs.

let stack: TestStack;
let client: pg.Client;

beforeAll(async () => {
  stack = await startTestStack({ workers: 0 });
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stack.stop();
}, 180_000);

/** Its node 9 has no part in the output, so a server runs the graph although it does not have that file. */
const withLeftover = (file: string) => ({
  type: "workflow",
  workflow: {
    ...sleepWorkflow(0, { steps: 1 }),
    "9": { class_type: "VAELoader", inputs: { vae_name: `${file}.safetensors` } },
  },
});

async function lanesOf(ids: string[]): Promise<string[]> {
  const { rows } = await client.query<{ lane: string }>(
    "SELECT DISTINCT lane FROM jobs WHERE id = ANY ($1)",
    [ids],
  );
  return rows.map(({ lane }) => lane);
}

test("jobs whose needs were guessed wrongly run when the first server appears", async () => {
  const { jobIds } = await stack.api.submitBatch([
    ...["one", "one", "two"].map(withLeftover),
    { type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) },
  ]);
  const { jobIds: paused } = await stack.api.submitBatch([withLeftover("one")]);
  const [of] = (await client.query<{ id: string }>("SELECT batch_id AS id FROM jobs WHERE id = $1", paused))
    .rows;
  expect((await stack.api.request("POST", `batches/${of!.id}/pause`)).status).toBe(200);
  expect(await lanesOf(jobIds)).toHaveLength(3);
  const cannotRun = await stack.api.submit({
    type: "image",
    ...{ prompt: "a cat", width: 256, height: 256, steps: 1, model: "nobody-has-it.safetensors" },
  });
  await stack.startWorker();
  for (const id of jobIds) expect((await stack.api.untilEnded(id)).status).toBe("completed");
  // They were moved to the one lane of what they really need. A job that no server can run stays where it is.
  expect(await lanesOf(jobIds)).toHaveLength(2);
  expect((await stack.api.request("POST", `batches/${of!.id}/resume`)).status).toBe(200);
  expect((await stack.api.untilEnded(paused[0]!)).status).toBe("completed");
  expect((await stack.api.job(cannotRun)).status).toBe("queued");
}, 180_000);
