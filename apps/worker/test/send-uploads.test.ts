import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ComfyUIConnector, type Workflow } from "@genga/comfyui";
import { StorageError, type OutputStorage } from "@genga/jobs";
import { sendUploads } from "../src/files/send-uploads.ts";
import { ServerNames } from "../src/files/server-names.ts";

// A server that takes every picture, and a storage whose every answer is the test's.

let server: Server;
let connector: ComfyUIConnector;
let received: number;
/** What was sent, headers of the parts included. */
let bodies: string[];

beforeEach(async () => {
  received = 0;
  bodies = [];
  server = createServer((request, response) => {
    if (request.method === "GET") {
      response.end("still there");
      return;
    }
    const answer = (body: string): void => {
      received += 1;
      bodies.push(body);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ name: "stored (1).png", subfolder: "genga/folder", type: "input" }));
    };
    // One that is broken off is not received.
    void text(request).then(answer, () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  connector = new ComfyUIConnector({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
});

afterEach(async () => {
  await connector.close();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const name = "ab".repeat(32);
const workflow: Workflow = { "1": { class_type: "LoadImage", inputs: { image: `genga/${name}.png` } } };
const names = new ServerNames({ tenantSecret: new Uint8Array(32), jobId: "job", attempt: 1 }, []);
const away = (retryable: boolean): Promise<never> =>
  Promise.reject(
    new StorageError(retryable ? "storage-unavailable" : "storage-refused", "No.", { retryable }),
  );

/** Answers the first read with the first answer, and so on; the last one for ever. */
function storageThat(...answers: OutputStorage["read"][]): { storage: OutputStorage; reads: () => number } {
  let reads = 0;
  const storage = {
    bytesOf: () => Promise.resolve("whole".length),
    read: (...asked: Parameters<OutputStorage["read"]>) => {
      reads += 1;
      return answers[Math.min(reads, answers.length) - 1]!(...asked);
    },
  } as Partial<OutputStorage> as OutputStorage;
  return { storage, reads: () => reads };
}

const send = (storage: OutputStorage, signal = new AbortController().signal): Promise<Workflow> =>
  sendUploads(workflow, { connector, storage, names, waitMs: 1, signal });

test("an upload is read again when the storage was away, or broke off in the middle", async () => {
  const brokenOff = (): Promise<Readable> => {
    const body = new PassThrough();
    body.write("half");
    setImmediate(() => body.destroy(new Error("aborted")));
    return Promise.resolve(body);
  };
  const whole = (): Promise<Readable> => Promise.resolve(Readable.from([Buffer.from("whole")]));
  const { storage, reads } = storageThat(() => away(true), brokenOff, whole);
  expect(await send(storage)).toMatchObject({ "1": { inputs: { image: "genga/folder/stored (1).png" } } });
  expect([reads(), received]).toEqual([3, 1]);
});

test("a storage that stays away is not asked for ever, and one that refuses is asked once", async () => {
  const gone = storageThat(() => away(true));
  await expect(send(gone.storage)).rejects.toMatchObject({ code: "storage-unavailable" });
  const refusing = storageThat(() => away(false));
  await expect(send(refusing.storage)).rejects.toMatchObject({ code: "storage-refused" });
  expect([gone.reads(), refusing.reads(), received]).toEqual([5, 1, 0]);
});

test("a read that stands still ends with the signal", async () => {
  const stopping = new AbortController();
  const { storage, reads } = storageThat((_key, _range, signal) => {
    const body = new PassThrough();
    signal?.addEventListener("abort", () => body.destroy(new Error("ended")));
    setImmediate(() => {
      stopping.abort(new Error("enough"));
    });
    return Promise.resolve(body);
  });
  await expect(send(storage, stopping.signal)).rejects.toThrow("enough");
  expect(reads()).toBe(1);
});

test("each tenant's copy of the same picture is sent under a name of its own", async () => {
  const { storage } = storageThat(() => Promise.resolve(Readable.from([Buffer.from("whole")])));
  const other = new ServerNames({ tenantSecret: new Uint8Array(32).fill(1), jobId: "job", attempt: 1 }, []);
  const { signal } = new AbortController();
  for (const each of [names, other]) await sendUploads(workflow, { connector, storage, names: each, signal });
  for (const [index, each] of [names, other].entries()) {
    const { subfolder, filename } = each.uploadPlace(`genga/${name}.png`)!;
    expect(bodies[index]).toContain(`filename="${filename}"`);
    expect(bodies[index]).toContain(subfolder);
    expect(bodies[index]).not.toContain(name);
  }
});

test("two jobs at once that need one file send it once, and a later one asks whether it is still there", async () => {
  const { storage, reads } = storageThat(() => Promise.resolve(Readable.from([Buffer.from("whole")])));
  const sent = await Promise.all([send(storage), send(storage)]);
  expect(sent[0]).toEqual(sent[1]);
  await send(storage);
  expect([reads(), received]).toEqual([1, 1]);
});

test("a job whose file another one failed to send sends it itself", async () => {
  const { storage } = storageThat(
    () => away(false),
    () => Promise.resolve(Readable.from([Buffer.from("whole")])),
  );
  const [first, second] = await Promise.allSettled([send(storage), send(storage)]);
  expect([first.status, second.status, received]).toEqual(["rejected", "fulfilled", 1]);
});
