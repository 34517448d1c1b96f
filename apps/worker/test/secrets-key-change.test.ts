import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { ApiClient, sleepWorkflow } from "@genga/testing";
import sharp from "sharp";
import { z } from "zod";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

// SECRETS_KEY is changed while jobs with uploads and secrets run and wait: every process of Genga stops, the server stays.

const [keyA, keyB] = [
  "QSwgZm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISEh",
  "QiwgZm9yIHRlc3RzIG9ubHksIGFuZCBub3QgcmFuZG9tISEh",
];
const secret = "comfyui-4711-secret-words";
let stack: OddStack;

beforeAll(async () => {
  stack = await startOddStack({
    keepsHistory: true,
    serverArgs: ["--node-packs", "core,recording-nodes,telling-nodes"],
    env: { SECRETS_KEY: keyA },
  });
}, 180_000);
afterAll(async () => {
  await stack.stop();
}, 180_000);

async function restartWith(secretsKeys: string): Promise<ApiClient> {
  for (const service of [...stack.workers.splice(0), ...stack.apis.splice(0)]) {
    expect(await service.stop()).toBe(0);
  }
  await Promise.all([
    stack.startApi({ SECRETS_KEY: secretsKeys }),
    stack.startWorker({ SECRETS_KEY: secretsKeys }),
  ]);
  return new ApiClient(stack.url);
}

async function upload(color: string): Promise<string> {
  const image = sharp({ create: { width: 64, height: 64, channels: 3, background: color } });
  const response = await fetch(`${stack.url}/api/anime/uploads`, {
    method: "POST",
    headers: { "content-type": "image/png" },
    body: new Uint8Array(await image.png().toBuffer()),
  });
  return z.object({ name: z.string() }).parse(await response.json()).name;
}

/** Loads the upload, takes its time, and tells the upload's name and the secret. */
const telling = (upload: string, seconds: number): object => ({
  type: "workflow",
  extraData: { api_key_comfy_org: secret, partner_token: secret },
  workflow: {
    ...sleepWorkflow(seconds),
    "1": { class_type: "LoadImage", inputs: { image: upload } },
    "4": { class_type: "QuoteKey", inputs: { how: "text" } },
    "5": { class_type: "PreviewAny", inputs: { source: upload } },
  },
});

async function expectWhole(api: ApiClient, jobId: string, upload: string): Promise<void> {
  const ended = await api.untilEnded(jobId);
  expect([ended.status, ended.failure, ended.attempt]).toEqual(["completed", null, 1]);
  const outputs = await api.outputs(jobId);
  expect(outputs.map(({ filename, text }) => filename ?? text)).toEqual([
    "sleep_00001_.png",
    ...[`length ${secret.length}`, "Unauthorized: ***"],
    upload,
  ]);
  const picture = (await api.download(outputs[0]!.id)).toString("latin1");
  expect(picture).toContain(upload);
  expect(picture).not.toMatch(/genga\/[0-9a-f]{32}\//);
  // The server keeps keys that it does not know in its history.
  const { attempts } = z
    .object({ attempts: z.array(z.object({ promptId: z.string() })) })
    .parse(await (await api.request("GET", `jobs/${jobId}/attempts`)).json());
  const history = await fetch(`${stack.simulators[0]!.url}/history/${attempts[0]!.promptId}`);
  expect(await history.text()).toContain(`"partner_token": "${secret}"`);
}

test("jobs that run and wait while SECRETS_KEY is changed keep their names and secrets, and nothing needs the old key then", async () => {
  const before = new ApiClient(stack.url);
  const picture = await upload("#0000ff");
  const running = await before.submit(telling(picture, 12));
  await before.until(running, ({ phase }) => phase === "executing");
  const onServer = await before.submit(telling(picture, 0.1));
  await before.until(onServer, ({ phase }) => phase === "submitted");
  const waiting = await before.submit(telling(picture, 0.1));
  expect((await before.job(waiting)).phase).toBe("waiting");

  const during = await restartWith(`${keyB},${keyA}`);
  for (const id of [running, onServer, waiting]) await expectWhole(during, id, picture);
  const sealedWithBoth = await during.submit(telling(picture, 6));
  await during.until(sealedWithBoth, ({ phase }) => phase === "executing");

  const after = await restartWith(keyB);
  await expectWhole(after, sealedWithBoth, picture);
  await expectWhole(after, await after.submit(telling(picture, 0.1)), picture);
  await expectWhole(after, running, picture);
  const executed = await stack.simulators[0]!.executions();
  expect(executed).toHaveLength(new Set(executed).size);
  expect(executed).toHaveLength(5);
}, 240_000);
