import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow } from "@genga/testing";
import sharp from "sharp";
import { type OddComfyUI } from "./support/odd-comfyui.ts";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

// The moments of a cancellation, and of a queue deadline, that take a server which holds something back; the others are in
// job-life.test.ts.

let stack: OddStack;
let api: ApiClient;
let odd: OddComfyUI;

beforeAll(async () => {
  stack = await startOddStack({ env: { SERVER_GRACE_MS: "4000" } });
  ({ api, odd } = stack);
}, 180_000);

afterEach(() => {
  odd.refuse = null;
  odd.alter = null;
  odd.hold = null;
});

afterAll(async () => {
  await stack.stop();
}, 180_000);

const submit = (seconds: number): Promise<string> =>
  api.submit({ type: "workflow", workflow: sleepWorkflow(seconds) });

const withImage = { type: "image", prompt: "a lighthouse", steps: 2, denoise: 0.05 };

async function upload(color: string): Promise<string> {
  const image = sharp({ create: { width: 256, height: 256, channels: 3, background: color } });
  const response = await fetch(`${stack.url}/api/anime/uploads`, {
    method: "POST",
    headers: { "content-type": "image/png" },
    body: new Uint8Array(await image.png().toBuffer()),
  });
  expect(response.status).toBe(201);
  return ((await response.json()) as { id: string }).id;
}

/** From now on the server answers no upload. @returns resolves with the next one */
function heldUpload(): Promise<void> {
  return new Promise((resolve) => {
    odd.hold = (_method, path) => {
      if (!path.startsWith("/upload/")) return Promise.resolve("pass");
      resolve();
      return new Promise(() => undefined);
    };
  });
}

describe("the queue deadline of a job", () => {
  test("that passes while a file is sent to the server that needs it ends the job at once", async () => {
    const sending = heldUpload();
    const expiresAt = new Date(Date.now() + 4_000).toISOString();
    const id = await api.submit({ ...withImage, initImage: await upload("blue"), expiresAt });
    await sending;
    expect(await api.untilEnded(id)).toMatchObject({
      ...{ status: "timeout", attempt: 1, failure: { code: "expired" } },
    });
  }, 180_000);
});

describe("a cancellation", () => {
  test("while outputs are saved comes too late: the job is completed, and says so", async () => {
    const saving = new Promise<void>((resolve) => {
      odd.refuse = (_method, path) => {
        if (!path.startsWith("/view")) return undefined;
        resolve();
        return { status: 503, body: "busy" };
      };
    });
    const id = await submit(0);
    await saving;
    expect(await api.cancel(id)).toBe(202);
    odd.refuse = null;
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1, cancelTooLate: true });
    expect(await api.outputs(id)).toHaveLength(1);
  }, 180_000);

  test("of a prompt that has just ended on its server comes too late as well", async () => {
    const ended = new Promise<void>((resolve) => {
      odd.alter = (path, body) => {
        if (!path.startsWith("/history/") || body === "{}") return body;
        resolve();
        return "<html>";
      };
    });
    const id = await submit(0);
    await ended;
    expect(await api.cancel(id)).toBe(202);
    odd.alter = null;
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1, cancelTooLate: true });
  }, 180_000);

  test("while a file is sent to the server that needs it is granted at once", async () => {
    const sending = heldUpload();
    const id = await api.submit({ ...withImage, initImage: await upload("red") });
    await sending;
    expect(await api.cancel(id)).toBe(202);
    expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1, failure: null });
  }, 180_000);

  test("on a server that died is granted when the server is given up, and nothing runs again", async () => {
    const id = await submit(30);
    await api.until(id, (job) => job.phase === "executing");
    stack.simulators[0]!.signal("SIGKILL");
    await stack.simulators[0]!.exited;
    expect(await api.cancel(id)).toBe(202);
    expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1, failure: null });
    const { attempts } = (await (await api.request("GET", `jobs/${id}/attempts`)).json()) as {
      attempts: object[];
    };
    expect(attempts).toMatchObject([{ outcome: "cancelled" }]);
  }, 180_000);
});
