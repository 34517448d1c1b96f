import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";
import { kubernetes, readManifest, scaledObjectSchema } from "./manifests.ts";

// By what KEDA starts and ends workers: the query of worker/scaled-object.yaml, asked by the role of scaler-role.sql.

const [trigger] = scaledObjectSchema.parse(readManifest("worker/scaled-object.yaml")).spec.triggers;
/** Roles belong to all databases of the server. */
const role = `genga_scaler_${randomUUID().slice(0, 8)}`;

let database: TestDatabase;
let stack: Stack;
let client: pg.Client;
let api: ApiClient;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const grants = readFileSync(join(kubernetes, "scaler-role.sql"), "utf8");
  // It may run again, as after a restore.
  for (let time = 1; time <= 2; time += 1) await client.query(grants.replaceAll("genga_scaler", role));
  await client.query(`SET ROLE ${role}`);
  stack = await startStack({ databaseUrl: database.url, simulators: 2, workers: 0 });
  const [general, large] = stack.simulators.map(({ url }) => url);
  await stack.startWorker({ SERVER_LABELS: `${general!}=pool:general; ${large!}=pool:large,gpu:80gb` });
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await client.query("RESET ROLE");
  await client.query(`DROP OWNED BY ${role}`);
  await client.query(`DROP ROLE ${role}`);
  await client.end();
  await database.drop();
}, 180_000);

/** As kustomize puts the pool's name in: between the first two quotation marks. */
async function demandOf(pool: string): Promise<number> {
  const parts = trigger.metadata.query.split("'");
  parts[1] = pool;
  const { rows } = await client.query<{ count: string }>(parts.join("'"));
  return Number(rows[0]?.count);
}

const looksMax = 600;

/** Tickets are added after the answer. */
async function untilDemand(expected: Record<"general" | "large", number>): Promise<void> {
  for (let looks = 0; ; looks += 1) {
    const counted = { general: await demandOf("general"), large: await demandOf("large") };
    if (JSON.stringify(counted) === JSON.stringify(expected)) return;
    if (looks === looksMax) expect(counted).toEqual(expected);
    await sleep(50);
  }
}

/** Submits once the servers with these labels are known. */
async function submit(body: object): Promise<string> {
  for (;;) {
    const response = await api.request("POST", "generate", {
      type: "workflow",
      workflow: sleepWorkflow(120),
      ...body,
    });
    if (response.status === 202) return ((await response.json()) as { id: string }).id;
    await response.body?.cancel();
    await sleep(50);
  }
}

test("the work of a pool is what runs, and what could run now", async () => {
  expect(await demandOf("large")).toBe(0);
  const large = { requires: ["gpu:80gb", "pool:large"] };
  const first = await submit(large);
  const [second, , , other] = [
    await submit(large),
    await submit(large),
    await submit(large),
    await submit({}),
  ];
  // Two of the four are on the server, which has two slots.
  for (const id of [first, second, other])
    while ((await api.job(id)).status !== "processing") await sleep(50);
  await untilDemand({ general: 1, large: 4 });

  const waits = await submit({ ...large, dependsOn: [first] });
  const { id: batch } = await api.submitBatch([
    { type: "workflow", workflow: sleepWorkflow(120), ...large },
    { type: "workflow", workflow: sleepWorkflow(120), ...large },
  ]);
  await untilDemand({ general: 1, large: 6 });
  expect((await api.job(waits)).status).toBe("queued");
  await api.request("POST", `batches/${batch}/pause`);
  await untilDemand({ general: 1, large: 4 });

  // Nothing says which pool has the label.
  await submit({ requires: ["gpu:80gb"] });
  await untilDemand({ general: 1, large: 4 });

  await api.request("POST", "farm/pause");
  await untilDemand({ general: 1, large: 2 });
  await api.request("POST", "farm/resume");
  await untilDemand({ general: 1, large: 4 });
}, 180_000);

test("who asks sees nothing of the jobs", async () => {
  for (const query of [
    "SELECT tenant_id FROM jobs",
    "SELECT * FROM job_parameters",
    "SELECT * FROM access_key_secrets",
  ])
    await expect(client.query(query)).rejects.toMatchObject({ code: "42501" });
  await expect(client.query("UPDATE jobs SET paused_at = now()")).rejects.toThrow();
});
