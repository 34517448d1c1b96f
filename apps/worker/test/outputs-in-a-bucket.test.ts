import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import {
  ApiClient,
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
}, 180_000);

afterEach(async () => {
  await stack.stop();
  await database.drop();
  await wayToBucket.close();
  await bucketServer.close();
  await rm(folder, { recursive: true });
}, 180_000);

test("outputs go to a bucket and come from it; a bucket that is away fails the job with its reason, and a retry helps", async () => {
  const api = new ApiClient(stack.url);
  const stored = await api.untilEnded(await submit(api));
  expect(stored).toMatchObject({ status: "completed" });
  expect(await sharp(await bytesOf(api, stored.id)).metadata()).toMatchObject({ width: 64, height: 64 });

  await wayToBucket.cut();
  const failed = await api.untilEnded(await submit(api));
  expect(failed.status).toBe("failed");
  expect(await (await api.request("GET", `jobs/${failed.id}`)).json()).toMatchObject({
    failure: { code: "storage-unavailable" },
  });

  await wayToBucket.restore();
  expect((await api.request("POST", `jobs/${failed.id}/retry`)).status).toBe(202);
  expect(await api.untilEnded(failed.id)).toMatchObject({ status: "completed", attempt: 2 });
  expect((await bytesOf(api, failed.id)).length).toBeGreaterThan(0);
}, 180_000);

function submit(api: ApiClient): Promise<string> {
  return api.submit({ type: "workflow", workflow: sleepWorkflow(0.1) });
}

async function bytesOf(api: ApiClient, jobId: string): Promise<Buffer> {
  const [output] = await api.outputs(jobId);
  const response = await fetch(`${stack.url}/api/anime/outputs/${output!.id}`);
  expect(response.status).toBe(200);
  return Buffer.from(await response.arrayBuffer());
}
