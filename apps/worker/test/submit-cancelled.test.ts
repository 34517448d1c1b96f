import { once } from "node:events";
import { Readable } from "node:stream";
import { expect, test } from "@jest/globals";
import { type OutputStorage } from "@genga/jobs";
import { type JobServer } from "../src/job/job-server.ts";
import { submitPrompt } from "../src/job/submit-prompt.ts";
import { aRun } from "./support/a-run.ts";

const withUpload = JSON.stringify({
  "1": { class_type: "LoadImage", inputs: { image: `genga/${"ab".repeat(32)}.png` } },
});

const noStorage = {} as OutputStorage;
const options = {
  ...{ previewMethod: "none", postTimeoutMs: 5_000, graceMs: 1_000 },
  ...{ storageWatch: { isAway: () => Promise.resolve(false), untilWritable: () => Promise.resolve() } },
  storageGraceMs: 0,
};

test.each(["before", "during"])(
  "a job that is cancelled %s the wait for more of its lease ends at once, and is not posted",
  async (when) => {
    // Its lease is over.
    const run = aRun({ wasAdopted: false });
    let posts = 0;
    let connected: () => void = () => undefined;
    const isConnected = new Promise<void>((resolve) => (connected = resolve));
    const connector = {
      connect: () => {
        if (when === "before") run.requestCancel();
        connected();
        return Promise.resolve();
      },
      submit: () => {
        posts += 1;
        return Promise.resolve();
      },
    };
    const server = { connector, definitions: null, uploadBytesMax: null, notePost: () => undefined };
    const isThere = submitPrompt(run, server as unknown as JobServer, { ...options, storage: noStorage });
    await isConnected;
    await new Promise(setImmediate);
    run.requestCancel();
    expect(await isThere).toBe(false);
    expect([posts, run.mayStillArrive]).toEqual([0, false]);
  },
);

test.each(["cancelled", "over its queue deadline"])(
  "a job that is %s while its server takes a file ends at once, and is not posted",
  async (what) => {
    const expiresInMs = what === "cancelled" ? null : 50;
    const run = aRun({ wasAdopted: false, workflow: withUpload, isLeased: true, expiresInMs });
    const steps: string[] = [];
    const connector = {
      uploadFile: async (_upload: object, { signal }: { signal: AbortSignal }) => {
        steps.push("upload");
        const aborted = once(signal, "abort");
        if (what === "cancelled") run.requestCancel();
        await aborted;
        throw signal.reason;
      },
      connect: () => {
        steps.push("connect");
        return Promise.resolve();
      },
    };
    const server = { connector, definitions: null, uploadBytesMax: null };
    const storage = {
      bytesOf: () => Promise.resolve(5),
      read: () => Promise.resolve(Readable.from(["image"])),
    } as Partial<OutputStorage> as OutputStorage;
    expect(await submitPrompt(run, server as unknown as JobServer, { ...options, storage })).toBe(false);
    expect([steps, run.mayStillArrive]).toEqual([["upload"], false]);
  },
);

test("a job whose queue deadline has passed when it is begun is not sent", async () => {
  const run = aRun({ wasAdopted: false, workflow: withUpload, isLeased: true, expiresInMs: -1 });
  const server = { connector: {}, definitions: null, uploadBytesMax: null } as unknown as JobServer;
  expect(await submitPrompt(run, server, { ...options, storage: noStorage })).toBe(false);
});
