import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import {
  ApiClient,
  askUntil,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import S3rver from "s3rver";
import sharp from "sharp";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let stack: Stack;
let api: ApiClient;
let folder: string;
let bucketServer: S3rver;
let wayToBucket: TcpProxy;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-bucket-"));
  bucketServer = new S3rver({
    ...{ address: "127.0.0.1", port: 0, silent: true, directory: folder },
    configureBuckets: [{ name: "outputs", configs: [] }],
  });
  const { port } = await bucketServer.run();
  wayToBucket = await startTcpProxy({ host: "127.0.0.1", port });
  database = await createMigratedDatabase();
  stack = await startStack({
    databaseUrl: database.url,
    env: {
      STORAGE_URL: "s3://outputs/genga",
      AWS_ENDPOINT_URL_S3: wayToBucket.url.replace(/^tcp/, "http"),
      AWS_ACCESS_KEY_ID: "S3RVER",
      AWS_SECRET_ACCESS_KEY: "S3RVER",
    },
  });
  api = new ApiClient(stack.url);
}, 180_000);

afterEach(async () => {
  await stack.stop();
  await database.drop();
  await wayToBucket.close();
  await bucketServer.close();
  await rm(folder, { recursive: true });
}, 180_000);

test("outputs go to a bucket and come from it", async () => {
  const stored = await api.untilEnded(await submit());
  expect(stored).toMatchObject({ status: "completed" });
  expect(await sharp(await bytesOf(stored.id)).metadata()).toMatchObject({ width: 64, height: 64 });
}, 180_000);

test("while the bucket is away, what is rendered waits for it, nothing new begins, and everything says why", async () => {
  await wayToBucket.cut();
  const rendered = await submit();
  await stack.workers[0]!.line(/the storage cannot be written to; no job is begun/);
  const waiting = await submit();
  await askUntil(
    () => api.job(waiting),
    (job) => JSON.stringify(job).includes('"code":"storage-unavailable"'),
  );
  expect(await api.job(rendered)).toMatchObject({ status: "processing", phase: "saving" });
  await askUntil(serverStates, (states) => states.join() === "storage-unavailable");
  expect(await (await api.request("GET", "queue")).json()).toMatchObject({
    ...{ servers: { total: 1, online: 0 }, workers: { alive: 1, withoutRoom: 1 } },
  });
  expect(await (await fetch(`${stack.url}/metrics`)).text()).toMatch(
    /genga_workers{state="storage_unavailable",service="api"} 1/,
  );

  await wayToBucket.restore();
  expect(await api.untilEnded(rendered)).toMatchObject({ status: "completed", attempt: 1 });
  expect(await api.untilEnded(waiting)).toMatchObject({ status: "completed", attempt: 1 });
  expect((await bytesOf(rendered)).length).toBeGreaterThan(0);
  expect(await stack.simulators[0]!.executions()).toHaveLength(2);
  await askUntil(serverStates, (states) => states.join() === "online");
}, 180_000);

test("a job whose outputs wait for the bucket can be cancelled", async () => {
  await wayToBucket.cut();
  const id = await submit();
  await stack.workers[0]!.line(/the storage cannot be written to; no job is begun/);
  expect(await api.cancel(id)).toBe(202);
  expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1 });
}, 180_000);

test("a bucket that stays away for longer than STORAGE_GRACE_MS fails the job with its reason, and a retry helps", async () => {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
  await stack.startWorker({ STORAGE_GRACE_MS: "500" });
  await wayToBucket.cut();
  const failed = await api.untilEnded(await submit());
  expect(failed).toMatchObject({ status: "failed", failure: { code: "storage-unavailable" } });
  await wayToBucket.restore();
  expect((await api.request("POST", `jobs/${failed.id}/retry`)).status).toBe(202);
  expect(await api.untilEnded(failed.id)).toMatchObject({ status: "completed", attempt: 2 });
}, 180_000);

async function serverStates(): Promise<string[]> {
  const answer = (await (await api.request("GET", "servers")).json()) as { servers: { state: string }[] };
  return answer.servers.map(({ state }) => state);
}

function submit(): Promise<string> {
  return api.submit({ type: "workflow", workflow: sleepWorkflow(0.1) });
}

async function bytesOf(jobId: string): Promise<Buffer> {
  const [output] = await api.outputs(jobId);
  const response = await fetch(`${stack.url}/api/anime/outputs/${output!.id}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}
