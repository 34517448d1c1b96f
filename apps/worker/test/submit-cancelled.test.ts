import { expect, test } from "@jest/globals";
import { type OutputStorage } from "@genga/jobs";
import { type JobServer } from "../src/job/job-server.ts";
import { submitPrompt } from "../src/job/submit-prompt.ts";
import { aRun } from "./support/a-run.ts";

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
    const options = {
      storage: {} as OutputStorage,
      previewMethod: "none",
      postTimeoutMs: 5_000,
      graceMs: 1_000,
    };
    const isThere = submitPrompt(run, server as unknown as JobServer, options);
    await isConnected;
    await new Promise(setImmediate);
    run.requestCancel();
    expect(await isThere).toBe(false);
    expect([posts, run.mayStillArrive]).toEqual([0, false]);
  },
);
