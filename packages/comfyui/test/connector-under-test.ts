import { afterEach, beforeEach } from "@jest/globals";
import {
  ComfyUIConnector,
  type ComfyUIConnectorOptions,
  type WatchEvent,
  type WatchOptions,
  type Workflow,
} from "../src/index.ts";
import { ScriptedComfyUI } from "./scripted-comfyui.ts";

/** Three nodes, of which the second has a title. */
export const workflow: Workflow = {
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64 } },
  "2": { class_type: "Work", inputs: { image: ["1", 0] }, _meta: { title: "The work" } },
  "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
};
/** Outputs of `workflow`, as the history tells them. */
export const image = { "3": { images: [{ filename: "x_00001_.png", subfolder: "", type: "output" }] } };

/** The server of the test that runs. */
export let server: ScriptedComfyUI;
let connectors: ComfyUIConnector[] = [];

/** Gives each test of the file a server of its own, and closes that and all connectors afterwards. */
export function serveEachTest(): void {
  beforeEach(async () => {
    server = await ScriptedComfyUI.start();
    connectors = [];
  });
  afterEach(async () => {
    await Promise.all(connectors.map((connector) => connector.close()));
    await server.stop();
  });
}

/** A connector to `server`, with short deadlines; it is closed after the test. */
export function connect(options: Partial<ComfyUIConnectorOptions> = {}): ComfyUIConnector {
  const connector = new ComfyUIConnector({
    baseUrl: server.url,
    // Short for the tests that wait for them, and long enough for a machine that is busy.
    requestTimeoutMs: 2_000,
    postTimeoutMs: 2_000,
    // Long enough to play no part where silence is not the subject.
    silenceMs: 60_000,
    pingIntervalMs: 60_000,
    backoff: { minMs: 5, maxMs: 50 },
    ...options,
  });
  connectors.push(connector);
  return connector;
}

/** Reads a watch in the background; events as they come, the end as a promise. */
export function follow(
  connector: ComfyUIConnector,
  promptId: string,
  options: WatchOptions = {},
): {
  events: WatchEvent[];
  ended: Promise<WatchEvent[]>;
  until: (matches: (event: WatchEvent) => boolean) => Promise<WatchEvent>;
} {
  const events: WatchEvent[] = [];
  let waiters: { matches: (event: WatchEvent) => boolean; resolve: (event: WatchEvent) => void }[] = [];
  const ended = (async () => {
    for await (const event of connector.watch(promptId, options)) {
      events.push(event);
      waiters = waiters.filter(({ matches, resolve }) => {
        if (!matches(event)) return true;
        resolve(event);
        return false;
      });
    }
    return events;
  })();
  ended.catch(() => undefined);
  const until = (matches: (event: WatchEvent) => boolean): Promise<WatchEvent> => {
    const seen = events.find(matches);
    return seen === undefined
      ? new Promise((resolve) => {
          waiters.push({ matches, resolve });
        })
      : Promise.resolve(seen);
  };
  return { events, ended, until };
}

export const isMessage =
  (type: string) =>
  (event: WatchEvent): boolean =>
    event.type === "message" && event.message.type === type;
export const isType =
  (type: WatchEvent["type"]) =>
  (event: WatchEvent): boolean =>
    event.type === type;

/** As ComfyUI writes numbers into binary messages. */
export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}
