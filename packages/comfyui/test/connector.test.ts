import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";

import {
  ComfyUIConnector,
  type ComfyUIConnectorOptions,
  type WatchEvent,
  type WatchOptions,
  type Workflow,
} from "../src/index.ts";
import { answer, ScriptedComfyUI } from "./scripted-comfyui.ts";

const workflow: Workflow = {
  "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64 } },
  "2": { class_type: "Work", inputs: { image: ["1", 0] }, _meta: { title: "The work" } },
  "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "x" } },
};
const image = { "3": { images: [{ filename: "x_00001_.png", subfolder: "", type: "output" }] } };

let server: ScriptedComfyUI;
let connectors: ComfyUIConnector[];

beforeEach(async () => {
  server = await ScriptedComfyUI.start();
  connectors = [];
});

afterEach(async () => {
  await Promise.all(connectors.map((connector) => connector.close()));
  await server.stop();
});

function connect(options: Partial<ComfyUIConnectorOptions> = {}): ComfyUIConnector {
  const connector = new ComfyUIConnector({
    baseUrl: server.url,
    requestTimeoutMs: 400,
    postTimeoutMs: 400,
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
function follow(
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

const isMessage =
  (type: string) =>
  (event: WatchEvent): boolean =>
    event.type === "message" && event.message.type === type;
const isType =
  (type: WatchEvent["type"]) =>
  (event: WatchEvent): boolean =>
    event.type === type;

describe("in fair weather", () => {
  test("a prompt is submitted, watched and settled, and no message is missed before the watch begins", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await expect(connector.submit({ promptId, workflow })).resolves.toEqual({ promptId, number: 0 });
    expect(server.firstMessages).toEqual([
      '{"type":"feature_flags","data":{"supports_preview_metadata":true}}',
    ]);
    server.begin();
    server.executing("2");
    server.progress("2", 1, 4);
    server.end("success", { outputs: image });
    const { ended } = follow(connector, promptId);
    const events = await ended;
    const messages = events.flatMap((event) => (event.type === "message" ? event.message.type : []));
    expect(messages).toEqual([
      "execution_start",
      "execution_cached",
      "executing",
      "progress",
      "execution_success",
      "executing",
    ]);
    expect(events.filter(isType("settled"))).toEqual([events.at(-1)]);
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
    await expect(connector.getJobOutputs(promptId)).resolves.toMatchObject([
      { kind: "file", nodeId: "3", filename: "x_00001_.png" },
    ]);
  });

  test("an execution_error in mid-run is no end: the server goes on, and its history says success", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    server.say("execution_error", {
      ...{ prompt_id: promptId, node_id: "3", node_type: "SaveImage", executed: ["1"] },
      ...{ exception_message: "Execution Blocked: no face", exception_type: "ExecutionBlocked" },
      ...{ traceback: [], current_inputs: [], current_outputs: [] },
    });
    server.executing("2");
    await until((one) => one.type === "progress" && one.progress.node === "2");
    server.end("success", { outputs: image });
    const events = await ended;
    expect(events.filter(isMessage("execution_error"))).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("progress is told with titles and steps, and getJobProgress tells the same", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    await expect(connector.getJobProgress(promptId)).resolves.toMatchObject({
      phase: "submitted",
      percent: 0,
    });
    const { until } = follow(connector, promptId);
    server.begin();
    server.executing("2");
    server.progress("2", 3, 4);
    const event = await until((one) => one.type === "progress" && one.progress.step === 3);
    expect(event).toMatchObject({
      progress: { node: "2", nodeTitle: "The work", step: 3, steps: 4, phase: "executing" },
    });
    await expect(connector.getJobProgress(promptId)).resolves.toMatchObject({
      node: "2",
      step: 3,
      steps: 4,
      nodesTotal: 3,
    });
  });

  test("progress of a prompt that nobody watches comes from queue and history", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await expect(connector.getJobProgress(promptId)).resolves.toBeUndefined();
    server.enqueue(promptId, "somebody");
    await expect(connector.getJobProgress(promptId)).resolves.toMatchObject({ phase: "submitted" });
    server.begin();
    await expect(connector.getJobProgress(promptId)).resolves.toMatchObject({ phase: "executing" });
    server.end();
    await expect(connector.getJobProgress(promptId)).resolves.toMatchObject({
      phase: "saving",
      percent: 100,
    });
  });

  test("lookups tell waiting (with its place), running, failed, interrupted and absent apart", async () => {
    const connector = connect();
    const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()];
    for (const promptId of [first, second, third]) server.enqueue(promptId, "c");
    server.begin();
    await expect(connector.lookup(first)).resolves.toEqual({ state: "running" });
    await expect(connector.lookup(third)).resolves.toEqual({ state: "waiting", position: 2 });
    server.end("error");
    await expect(connector.lookup(first)).resolves.toMatchObject({
      state: "failed",
      error: {
        code: "execution_failed",
        errorClass: "execution",
        nodeId: "2",
        message: "Node 2 (Work) failed: ValueError: boom",
      },
    });
    server.begin();
    server.end("interrupted");
    await expect(connector.lookup(second)).resolves.toMatchObject({
      state: "interrupted",
      report: { node_id: "2" },
    });
    await expect(connector.lookup(randomUUID())).resolves.toEqual({ state: "absent" });
  });

  test("a prompt that ends between the two reads of a look is not taken for lost", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.enqueue(promptId, "c");
    server.begin();
    let reads = 0;
    server.intercept = ({ path }, response, handle) => {
      if (!/^\/(queue|history)/.test(path)) return false;
      reads += 1;
      answer(response, handle());
      if (reads === 1) server.end();
      return true;
    };
    await expect(connector.lookup(promptId)).resolves.toMatchObject({ state: "running" });
    await expect(connector.lookup(promptId)).resolves.toMatchObject({ state: "finished" });
  });

  test("running out of memory is told from other failures", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    server.end("error", { exception: ["torch.OutOfMemoryError", "CUDA out of memory.\nThis error means…"] });
    const events = await follow(connector, promptId).ended;
    expect(events.at(-1)).toMatchObject({
      lookup: { state: "failed", error: { code: "out_of_memory", retry: "elsewhere" } },
    });
  });

  test("previews with and without metadata, and texts, reach the prompt that they belong to", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { until, events } = follow(connector, promptId);
    server.begin();
    server.executing("2");
    const metadata = JSON.stringify({ prompt_id: promptId, node_id: "2", image_type: "image/png" });
    server.sendRaw(
      connector.clientId,
      Buffer.concat([uint32(4, metadata.length), Buffer.from(metadata), Buffer.from("PNG")]),
    );
    const preview = await until(isType("preview"));
    expect(preview).toMatchObject({ preview: { promptId, nodeId: "2", mediaType: "image/png" } });
    server.sendRaw(connector.clientId, Buffer.concat([uint32(3, 1), Buffer.from("2hello")]));
    await expect(until(isType("text"))).resolves.toEqual({
      type: "text",
      nodeText: { nodeId: "2", text: "hello" },
    });
    // A preview without metadata, on a socket that negotiated it, is the broadcast of somebody else's prompt.
    server.sendRaw(connector.clientId, Buffer.concat([uint32(1, 1), Buffer.from("JPEG")]));
    server.end();
    await until(isType("settled"));
    expect(events.filter(isType("preview"))).toHaveLength(1);
  });

  test("two connectors to one server each hear of their own prompts only", async () => {
    const [one, other] = [connect(), connect()];
    const [first, second] = [randomUUID(), randomUUID()];
    await one.submit({ promptId: first, workflow });
    await other.submit({ promptId: second, workflow });
    const watches = [follow(one, first), follow(other, second)];
    for (let prompt = 0; prompt < 2; prompt += 1) {
      server.begin();
      server.executing("2");
      server.end();
    }
    const [ofOne, ofOther] = await Promise.all(watches.map(({ ended }) => ended));
    expect(ofOne?.filter(isMessage("execution_start"))).toHaveLength(1);
    expect(ofOther?.filter(isMessage("execution_start"))).toHaveLength(1);
    expect(new Set(server.connections).size).toBe(2);
  });
});

describe("refusals", () => {
  test("a refused graph names node, input and what was received", async () => {
    const connector = connect();
    const error = {
      type: "value_not_in_list",
      message: "Value not in list",
      details: "ckpt_name: 'x' not in ['mine.png', \"somebody's] .png\"]",
      extra_info: { input_name: "ckpt_name", received_value: "x" },
    };
    const long = { ...error, details: "ckpt_name: 'x' not in (list of length 21)" };
    const details = "ckpt_name: 'x' is not one of the server's choices";
    server.postReply = () => ({
      status: 400,
      json: {
        error: {
          type: "prompt_outputs_failed_validation",
          message: "Prompt outputs failed validation",
          details: "",
          extra_info: {},
        },
        node_errors: {
          "1": { errors: [error, long], dependent_outputs: ["3"], class_type: "CheckpointLoaderSimple" },
        },
      },
    });
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "prompt_refused",
      errorClass: "invalid",
      retry: "never",
      // Without the list, which may be of files that others have sent.
      message: `Node 1 (CheckpointLoaderSimple): Value not in list: ${details} (and 1 more)`,
      nodeErrors: Array(2).fill({
        nodeId: "1",
        classType: "CheckpointLoaderSimple",
        type: "value_not_in_list",
        message: "Value not in list",
        details,
        input: "ckpt_name",
        received: "x",
      }),
    });
  });

  test("a graph that is accepted in part is refused, and the queued part is withdrawn", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.postReply = (body) => ({
      status: 200,
      json: {
        prompt_id: body["prompt_id"],
        number: 1,
        node_errors: {
          "7": {
            errors: [
              {
                type: "required_input_missing",
                message: "Required input is missing",
                details: "images",
                extra_info: { input_name: "images" },
              },
            ],
            class_type: "SaveImage",
          },
        },
      },
    });
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "prompt_refused",
      nodeErrors: [{ nodeId: "7", input: "images" }],
    });
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "absent" });
  });

  test("a graph that would kill the server is not sent", async () => {
    const connector = connect();
    const poison = { ...workflow, "8": { class_type: "ImageScale" } } as unknown as Workflow;
    await expect(connector.submit({ promptId: randomUUID(), workflow: poison })).rejects.toMatchObject({
      code: "graph_malformed",
      nodeId: "8",
    });
    await expect(connector.submit({ promptId: "not-a-uuid", workflow })).rejects.toMatchObject({
      code: "graph_malformed",
    });
    expect(server.count("POST", "/prompt")).toBe(0);
  });

  test.each([
    ["a client id that is a list", { client_id: ["x"] }],
    ["an extra_pnginfo of null", { extra_pnginfo: null }],
    ["an extra_pnginfo that is a text", { extra_pnginfo: "x" }],
    ["an extra_pnginfo whose workflow is null", { extra_pnginfo: { workflow: null } }],
  ])("%s is not sent: it would harm the server for everybody (recording 58)", async (_what, extraData) => {
    const connector = connect();
    await expect(connector.submit({ promptId: randomUUID(), workflow, extraData })).rejects.toMatchObject({
      code: "graph_malformed",
    });
    expect(server.count("POST", "/prompt")).toBe(0);
    const good = { extra_pnginfo: { workflow: { id: 7 } }, create_time: 1 };
    await connector.submit({ promptId: randomUUID(), workflow, extraData: good });
    expect(server.requests.at(-1)?.body).toContain('"extra_data":{"extra_pnginfo"');
  });

  test("each node is sent with a _meta: a server that replaces its class fails without one (recording 42)", async () => {
    const connector = connect();
    const odd: Workflow = { ...workflow, "3": { ...workflow["3"]!, _meta: null } };
    await connector.submit({ promptId: randomUUID(), workflow: odd });
    const { prompt } = JSON.parse(server.requests.at(-1)?.body ?? "") as { prompt: Workflow };
    expect(prompt).toEqual({
      "1": { ...workflow["1"], _meta: { title: "EmptyImage" } },
      "2": workflow["2"],
      "3": { ...workflow["3"], _meta: { title: "SaveImage" } },
    });
  });

  test("a server that is not there had no effect, and says so", async () => {
    await server.kill();
    const connector = connect();
    const promptId = randomUUID();
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "server_unreachable",
      errorClass: "server",
      retry: "later",
    });
    await expect(connector.systemStats()).rejects.toMatchObject({ code: "server_unreachable" });
  });
});

describe("when the outcome of a POST is not known", () => {
  test("a lost reply leads to a look, never to a second POST", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.intercept = ({ path }, response, handle) => {
      if (path !== "/prompt") return false;
      handle();
      response.destroy();
      return true;
    };
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      retry: "look_first",
    });
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "waiting", position: 0 });
    const { ended, until } = follow(connector, promptId, { workflow });
    await until(isType("progress"));
    server.begin();
    server.end();
    await expect(ended).resolves.toContainEqual(
      expect.objectContaining({ type: "settled", lookup: expect.objectContaining({ state: "finished" }) }),
    );
    expect(server.count("POST", "/prompt")).toBe(1);
  });

  test("an HTTP 500 for a prompt that was queued is no refusal", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.intercept = ({ path }, response, handle) => {
      if (path !== "/prompt") return false;
      handle();
      answer(response, { status: 500, text: "500 Internal Server Error\n\nServer got itself in trouble" });
      return true;
    };
    await expect(connector.submit({ promptId, workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
    });
    await expect(connector.lookup(promptId)).resolves.toMatchObject({ state: "waiting" });
    expect(server.count("POST", "/prompt")).toBe(1);
  });

  test("a reply that does not come in time, or is no JSON, is an unknown outcome too", async () => {
    const connector = connect({ postTimeoutMs: 50 });
    server.intercept = ({ path }) => path === "/prompt";
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      cause: { code: "request_timeout" },
    });
    server.intercept = ({ path }, response) => {
      if (path !== "/prompt") return false;
      answer(response, { status: 200, text: "<html>welcome to our proxy" });
      return true;
    };
    await expect(connector.submit({ promptId: randomUUID(), workflow })).rejects.toMatchObject({
      code: "submit_outcome_unknown",
    });
  });

  test("a caller who gives up in mid-request learns that the outcome is unknown", async () => {
    const connector = connect();
    const stopping = new AbortController();
    server.intercept = ({ path }) => {
      if (path === "/prompt") stopping.abort(new Error("shutting down"));
      return path === "/prompt";
    };
    await expect(
      connector.submit({ promptId: randomUUID(), workflow, signal: stopping.signal }),
    ).rejects.toMatchObject({
      code: "submit_outcome_unknown",
      cause: { message: "shutting down" },
    });
  });
});

describe("when the socket fails", () => {
  test("a drop in mid-run leads to a reconnect under the same client id, and the watch goes on", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    server.executing("1");
    await until(isMessage("executing"));
    server.drop(connector.clientId);
    await server.until(() => server.connections.length === 2 && server.isRegistered(connector.clientId));
    // The greeting names the node, not the prompt.
    await until((event) => event.type === "progress" && event.progress.node === "2");
    server.progress("2", 2, 4);
    server.end("success", { outputs: image });
    const events = await ended;
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(new Set(server.connections)).toEqual(new Set([connector.clientId]));
    expect(server.firstMessages).toHaveLength(2);
  });

  test("a prompt that ended while nobody listened is found in the history", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    await until(isMessage("execution_start"));
    server.onSocket = (socket) => {
      server.end("error");
      server.onSocket = undefined;
      socket.terminate();
      return false;
    };
    const droppedAt = performance.now();
    server.drop(connector.clientId);
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "failed" } });
    // By the look at the new connection; the one of the clock would come after two seconds.
    expect(performance.now() - droppedAt).toBeLessThan(1_500);
  });

  test("a socket that is silently dead is noticed by pings and replaced", async () => {
    const connector = connect({ pingIntervalMs: 20 });
    const promptId = randomUUID();
    // Registered, and then as if the cable were cut: nothing goes in or out.
    server.onSocket = (socket) => {
      setImmediate(() => {
        socket.pause();
      });
      server.onSocket = undefined;
      return true;
    };
    await connector.submit({ promptId, workflow });
    await server.until(() => server.connections.length === 2);
    const { ended } = follow(connector, promptId);
    server.begin();
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a last message that does not come is replaced by a look", async () => {
    const connector = connect({ silenceMs: 50 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    server.end("success", { withoutLast: true });
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a socket that opens and breaks at once is not hammered", async () => {
    const connector = connect({ backoff: { minMs: 20, maxMs: 200 } });
    server.onSocket = (socket) => {
      socket.terminate();
      return false;
    };
    await expect(connector.connect()).rejects.toMatchObject({ errorClass: "server" });
    const before = server.connections.length;
    await delay(300);
    // 20 ms apart at the very least, and ever further.
    expect(server.connections.length - before).toBeLessThan(12);
    server.onSocket = undefined;
    await connector.connect();
    expect(connector.isConnected).toBe(true);
  });
});

describe("the stale-socket trap", () => {
  test("a dead worker's socket that closes late cuts us off, and we come back by ourselves", async () => {
    const clientId = "dead-worker";
    const deadWorker = connect({ clientId });
    const promptId = randomUUID();
    await deadWorker.submit({ promptId, workflow });
    server.begin();
    // The successor adopts the prompt while the old socket lingers.
    const successor = connect({ silenceMs: 100 });
    const { ended, until, events } = follow(successor, promptId, { clientId, workflow });
    await server.until(() => server.connections.length === 2);
    server.executing("1");
    await until(isMessage("executing"));
    await deadWorker.close();
    await server.until(() => !server.isRegistered(clientId));
    // Not even a broadcast arrives now; the socket still answers pings.
    await server.until(() => server.connections.length >= 3 && server.isRegistered(clientId));
    server.progress("2", 1, 2);
    await until(isMessage("progress"));
    server.end();
    await ended;
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(successor.counters.reopened).toBeGreaterThanOrEqual(1);
  });

  test("our own old socket is closed, and its end awaited, before a new one opens with its client id", async () => {
    const connector = connect({ silenceMs: 40 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    await server.until(() => server.connections.length >= 3);
    expect(server.socketsOfOneClientMax).toBe(1);
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    await ended;
  });

  test("an adopted client id's socket is closed with its last watch", async () => {
    const connector = connect();
    const promptId = randomUUID();
    server.enqueue(promptId, "predecessor", workflow);
    const { ended } = follow(connector, promptId, { clientId: "predecessor", workflow });
    await server.until(() => server.isRegistered("predecessor"));
    server.begin();
    server.end();
    await ended;
    await server.until(() => !server.isRegistered("predecessor"));
    expect(connector.counters.reopened).toBe(0);
  });
});

describe("when the server fails", () => {
  test("a server frozen for a while is told as unreachable, then reachable, and nothing is lost", async () => {
    const connector = connect({ silenceMs: 50, requestTimeoutMs: 100, pingIntervalMs: 30 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    server.begin();
    await until(isMessage("execution_start"));
    server.freeze();
    const lost = await until(isType("unreachable"));
    expect(lost).toMatchObject({ error: { code: "request_timeout" } });
    server.unfreeze();
    await until(isType("reachable"));
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a server that stays away ends the watch when its time is up", async () => {
    const connector = connect({ silenceMs: 30 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId, { unreachableMs: 100 });
    server.begin();
    await until(isMessage("execution_start"));
    await server.kill();
    await expect(ended).rejects.toMatchObject({ code: "server_unreachable", errorClass: "server" });
  });

  test("a restart loses the running prompt, says so, and the next prompt runs", async () => {
    const connector = connect({ silenceMs: 100 });
    const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()];
    await connector.submit({ promptId: first, workflow });
    server.begin();
    server.end();
    expect((await follow(connector, first).ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    await connector.submit({ promptId: second, workflow });
    const running = follow(connector, second);
    server.begin();
    await running.until(isMessage("execution_start"));
    await server.kill();
    await server.listen();
    expect((await running.ended).at(-1)).toEqual({ type: "settled", lookup: { state: "absent" } });
    await connector.submit({ promptId: third, workflow });
    server.begin();
    server.end();
    expect((await follow(connector, third).ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("a slow history is waited for, and a wrong one is no end", async () => {
    const connector = connect({ silenceMs: 50, requestTimeoutMs: 80 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId);
    let asked = 0;
    server.intercept = async ({ path }, response) => {
      if (!path.startsWith("/history")) return false;
      asked += 1;
      if (asked === 1) return true; // Never answered: the client's deadline ends it.
      if (asked === 2) answer(response, { status: 200, json: [] });
      if (asked === 3) await delay(40);
      return asked === 2;
    };
    server.begin();
    server.end();
    await until(isType("unreachable"));
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(asked).toBe(3);
  });

  test("hours of silence are looked at, at a bounded rate, and do not end the watch", async () => {
    const connector = connect({ silenceMs: 20 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, events } = follow(connector, promptId);
    server.begin();
    await server.until(() => server.count("GET", "/queue") >= 25);
    expect(events.some(isType("settled"))).toBe(false);
    // Reopened less and less often: 25 looks would otherwise mean 25 sockets.
    expect(server.connections.length).toBeLessThan(10);
    await server.until(() => server.isRegistered(connector.clientId));
    server.end();
    await ended;
  });
});

describe("when somebody's prompt holds a NaN, as Python writes it (recordings 58 and 60)", () => {
  const others = "86064872-a6b3-4473-a95a-ad0c1f2a26c4";
  const withNaN = `{"2": {"class_type": "Work", "inputs": {"seconds": NaN}}}`;
  const alter = (path: string, edit: (body: string) => string): void => {
    server.intercept = (request, response, handle) => {
      if (!request.path.startsWith(path)) return false;
      response.setHeader("content-type", "application/json; charset=utf-8");
      response.end(edit(JSON.stringify(handle().json)));
      return true;
    };
  };

  test("the queue is read all the same, also where that prompt's own number is NaN", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    alter("/queue", (body) =>
      body.replace(
        '"queue_pending":[',
        `$&[NaN, "${others}", ${withNaN}, {}, []], [-5, "first", {}, {}, []], `,
      ),
    );
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "waiting", position: 1 });
    await expect(connector.queue()).resolves.toMatchObject({
      pending: [{ promptId: "first" }, { promptId }, { promptId: others }],
    });
  });

  test("a render is fetched although its history entry holds one", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    server.end("success", { outputs: image });
    alter("/history/", (body) =>
      body.replace('"outputs":{', '$&"9": {"value": [NaN]}, "8": {"x": -Infinity}, '),
    );
    await expect(connector.lookup(promptId)).resolves.toMatchObject({ state: "finished" });
    await expect(connector.getJobOutputs(promptId)).resolves.toMatchObject([{ filename: "x_00001_.png" }]);
  });

  test("a failure is told although its report holds one", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    server.end("error", { exception: ["ValueError", "Invalid value NaN (not a number)\n"] });
    alter("/history/", (body) => body.replace('"current_inputs":{', '$&"seconds": [NaN]'));
    await expect(connector.lookup(promptId)).resolves.toMatchObject({
      state: "failed",
      error: { message: "Node 2 (Work) failed: ValueError: Invalid value NaN (not a number)" },
    });
  });

  test("node classes are known although one has a limit that is none", async () => {
    const connector = connect();
    server.intercept = (request, response) => {
      if (request.path !== "/object_info") return false;
      response.end(`{
        "Endless": {"input": {"required": {"value": ["FLOAT", {"max": Infinity, "min": -Infinity, "default": NaN}]}},
          "output": ["FLOAT"], "output_node": false},
        "Plain": {"input": {"required": {"value": ["INT", {"max": 5}]}}, "output": ["INT"], "output_node": true}}`);
      return true;
    };
    const objectInfo = await connector.objectInfo();
    expect(Object.keys(objectInfo)).toEqual(["Endless", "Plain"]);
    expect(objectInfo["Plain"]?.input.required).toEqual({ value: ["INT", { max: 5 }] });
  });
});

describe("when the messages are strange", () => {
  test("garbage, unknown types, other layouts and unknown binary frames are counted and ignored", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    const strange = [
      "no json at all",
      '{"type":"crystools.monitor","data":{"cpu":1}}',
      '{"type":"progress","data":{"value":"many"}}',
      '{"type":"executing","data":null}',
      "[]",
      Buffer.alloc(0),
      Buffer.from([0, 0, 0, 1]),
      uint32(99, 1),
      Buffer.concat([uint32(4, 1_000_000), Buffer.from("{}")]),
      Buffer.concat([uint32(4, 3), Buffer.from("{{{")]),
      uint32(1, 77),
    ];
    for (const data of strange) server.sendRaw(connector.clientId, data);
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(connector.counters.unknownMessages).toBe(strange.length);
  });

  test("a NaN in a message costs nothing of what else it says", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended, until } = follow(connector, promptId, { workflow });
    server.begin();
    server.sendRaw(
      connector.clientId,
      `{"type": "progress_state", "data": {"prompt_id": "${promptId}", "nodes": {
        "1": {"value": NaN, "max": Infinity, "state": "finished"},
        "2": {"value": 3, "max": 4, "state": "running"}}}}`,
    );
    await until((one) => one.type === "progress" && one.progress.step === 3);
    server.sendRaw(
      connector.clientId,
      `{"type": "executed", "data": {"prompt_id": "${promptId}", "node": "2", "output": {"value": [-Infinity]}}}`,
    );
    await until(isMessage("executed"));
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
    expect(connector.counters.unknownMessages).toBe(0);
  });

  test("an oversized message closes the socket, which opens again, and the prompt is found", async () => {
    const connector = connect({ messageBytesMax: 10_000 });
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    server.begin();
    server.sendRaw(connector.clientId, "x".repeat(20_000));
    await server.until(() => server.connections.length === 2 && server.isRegistered(connector.clientId));
    server.end();
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });

  test("an answer that is too long is refused before it fills the memory", async () => {
    const connector = connect({ replyBytesMax: 10_000 });
    server.intercept = (_request, response) => {
      answer(response, { status: 200, json: { padding: "x".repeat(20_000) } });
      return true;
    };
    await expect(connector.features()).rejects.toMatchObject({ code: "bad_reply" });
  });

  test("a graph of 300 nodes at full rate keeps at most one progress_state for a reader that sleeps", async () => {
    const connector = connect();
    const promptId = randomUUID();
    const large: Workflow = Object.fromEntries(
      Array.from({ length: 300 }, (_unused, node) => [String(node), { class_type: "Work", inputs: {} }]),
    );
    await connector.submit({ promptId, workflow: large });
    server.begin();
    const nodes: Record<string, unknown> = {};
    for (let node = 0; node < 300; node += 1) {
      for (const state of ["running", "finished"]) {
        nodes[String(node)] = {
          value: state === "running" ? 0 : 1,
          max: 1,
          state,
          node_id: String(node),
          prompt_id: promptId,
          display_node_id: String(node),
          parent_node_id: null,
          real_node_id: String(node),
        };
        server.say("progress_state", { prompt_id: promptId, nodes });
        if (state === "running") server.executing(String(node));
      }
    }
    server.end();
    await server.until(() => server.count("GET", "/history") > 0);
    const events = await follow(connector, promptId).ended;
    expect(events.filter(isMessage("progress_state"))).toHaveLength(1);
    expect(events.filter(isType("progress"))).toHaveLength(1);
    expect(events.filter(isMessage("executing"))).toHaveLength(301);
    expect(events.at(-1)).toMatchObject({ lookup: { state: "finished" } });
  });
});

describe("cancelling", () => {
  test("a waiting prompt is deleted, and its watch ends as absent", async () => {
    const connector = connect();
    const [first, second] = [randomUUID(), randomUUID()];
    await connector.submit({ promptId: first, workflow });
    await connector.submit({ promptId: second, workflow });
    server.begin();
    const { ended } = follow(connector, second);
    await expect(connector.cancelPrompt(second)).resolves.toEqual({
      outcome: "deleted",
      lookup: { state: "absent" },
    });
    expect((await ended).at(-1)).toEqual({ type: "settled", lookup: { state: "absent" } });
    await expect(connector.lookup(first)).resolves.toEqual({ state: "running" });
    expect(server.count("POST", "/interrupt")).toBe(0);
  });

  test("a running prompt is interrupted by its id", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    const { ended } = follow(connector, promptId);
    await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "interrupted" });
    expect((await ended).at(-1)).toMatchObject({ lookup: { state: "interrupted" } });
    const interrupts = server.requests.filter(({ path }) => path === "/interrupt");
    expect(interrupts.map(({ body }) => body)).toEqual([JSON.stringify({ prompt_id: promptId })]);
  });

  test("a prompt that starts between the look and the delete is interrupted after all", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.intercept = ({ method, path }) => {
      if (method === "POST" && path === "/queue") {
        server.begin();
        server.intercept = undefined;
      }
      return false;
    };
    await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "interrupted" });
  });

  test("success that comes first, a prompt that is nowhere, and a node that does not listen are told as such", async () => {
    const connector = connect();
    const [finished, stubborn] = [randomUUID(), randomUUID()];
    await connector.submit({ promptId: finished, workflow });
    server.begin();
    server.end();
    await expect(connector.cancelPrompt(finished)).resolves.toMatchObject({
      outcome: "too_late",
      lookup: { state: "finished" },
    });
    await expect(connector.cancelPrompt(randomUUID())).resolves.toMatchObject({ outcome: "absent" });
    await connector.submit({ promptId: stubborn, workflow });
    server.begin();
    server.intercept = ({ path }, response) => {
      if (path !== "/interrupt") return false;
      answer(response, { status: 200, text: "" });
      return true;
    };
    await expect(connector.cancelPrompt(stubborn, { timeoutMs: 100 })).resolves.toMatchObject({
      outcome: "pending",
      lookup: { state: "running" },
    });
  });

  test("the cancel route of newer servers is asked for once, and used where it is", async () => {
    const older = connect();
    for (let prompt = 0; prompt < 2; prompt += 1) {
      const promptId = randomUUID();
      await older.submit({ promptId, workflow });
      await older.cancelPrompt(promptId);
    }
    expect(server.count("POST", "/api/jobs/")).toBe(1);
    expect(server.count("POST", "/queue")).toBe(2);
    server.hasCancelRoute = true;
    const newer = connect();
    const promptId = randomUUID();
    await newer.submit({ promptId, workflow });
    await expect(newer.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
    expect(server.count("POST", "/queue")).toBe(2);
  });

  test("the old way is gone where the new route finds nothing to cancel, or is out of order for a while", async () => {
    const connector = connect();
    server.hasCancelRoute = true;
    const answers = [
      { status: 502, text: "<html>" },
      { status: 200, json: { cancelled: false } },
    ];
    for (const reply of answers) {
      const promptId = randomUUID();
      await connector.submit({ promptId, workflow });
      server.intercept = (request, response) => {
        if (!request.path.endsWith("/cancel")) return false;
        answer(response, reply);
        return true;
      };
      await expect(connector.cancelPrompt(promptId)).resolves.toMatchObject({ outcome: "deleted" });
    }
    expect(server.count("POST", "/queue")).toBe(2);
    expect(server.count("POST", "/api/jobs/")).toBe(2);
  });
});

describe("what a server can", () => {
  const features = (json: unknown): void => {
    server.intercept = (request, response) => {
      if (request.path !== "/features") return false;
      answer(response, json === undefined ? { status: 404, text: "404: Not Found" } : { status: 200, json });
      return true;
    };
  };

  test("is told apart by harmless questions, for 0.28 (recording 40) …", async () => {
    features({
      ...{ supports_preview_metadata: true, supports_model_type_tags: true, max_upload_size: 104857600 },
      ...{ extension: { manager: { supports_v4: true } }, node_replacements: true, assets: false },
    });
    server.hasCancelRoute = true;
    await expect(connect().probeAbilities()).resolves.toEqual({
      ...{ cancelsById: true, namesPreviews: true, replacesNodes: true, hasAssets: false },
      uploadBytesMax: 104857600,
    });
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /api/jobs/00000000-0000-0000-0000-000000000000/cancel",
      "GET /features",
    ]);
  });

  test("… for 0.3.64 (recording 12), and for servers that say nothing or nonsense", async () => {
    const nothing = { cancelsById: false, namesPreviews: false, replacesNodes: false, hasAssets: false };
    features({ supports_preview_metadata: true, max_upload_size: 104857600 });
    await expect(connect().probeAbilities()).resolves.toEqual({
      ...{ ...nothing, namesPreviews: true, uploadBytesMax: 104857600 },
    });
    features(undefined);
    await expect(connect().probeAbilities()).resolves.toEqual({ ...nothing, uploadBytesMax: null });
    features({ supports_preview_metadata: "yes", node_replacements: 1, max_upload_size: [] });
    await expect(connect().probeAbilities()).resolves.toEqual({ ...nothing, uploadBytesMax: null });
    features(["supports_preview_metadata"]);
    await expect(connect().probeAbilities()).resolves.toEqual({ ...nothing, uploadBytesMax: null });
  });
});

describe("files", () => {
  const file = { filename: "a b ä'.png", subfolder: "genga/1", type: "output" as const };

  test("are streamed, with their names encoded", async () => {
    const connector = connect();
    server.intercept = ({ path }, response) => {
      const query = new URL(path, server.url).searchParams;
      expect(Object.fromEntries(query)).toEqual(file);
      response.setHeader("content-type", "image/png");
      response.setHeader("content-length", 8);
      response.write("four");
      setImmediate(() => response.end("more"));
      return true;
    };
    const download = await connector.downloadOutput(file);
    expect(download).toMatchObject({ contentLength: 8, contentType: "image/png" });
    expect(Buffer.concat(await download.body.toArray()).toString()).toBe("fourmore");
  });

  test("that the server does not have are missing outputs", async () => {
    const connector = connect();
    await expect(connector.downloadOutput(file)).rejects.toMatchObject({
      code: "output_missing",
      errorClass: "execution",
    });
  });

  test("that break off, or stall, end in an error and not in a short file", async () => {
    const connector = connect({ requestTimeoutMs: 100 });
    let isStalling = false;
    server.intercept = (_request, response) => {
      response.setHeader("content-length", 8);
      response.write("four");
      if (!isStalling) setTimeout(() => response.destroy(), 20);
      return true;
    };
    const broken = await connector.downloadOutput(file);
    await expect(broken.body.toArray()).rejects.toMatchObject({ code: "connection_lost" });
    isStalling = true;
    const stalled = await connector.downloadOutput(file);
    await expect(stalled.body.toArray()).rejects.toMatchObject({ code: "request_timeout" });
    const stopping = new AbortController();
    const stopped = await connector.downloadOutput(file, { signal: stopping.signal });
    stopping.abort(new Error("stop"));
    await expect(stopped.body.toArray()).rejects.toThrow("stop");
  });

  test("that nobody wants after all free their connection, read or unread", async () => {
    const connector = connect();
    let open = 0;
    server.intercept = (_request, response) => {
      open += 1;
      response.once("close", () => {
        open -= 1;
      });
      response.setHeader("content-length", 1_000_000);
      response.write("some");
      return true;
    };
    const unread = await connector.downloadOutput(file);
    const begun = await connector.downloadOutput(file);
    for await (const chunk of begun.body) {
      expect(String(chunk)).toBe("some");
      break;
    }
    unread.body.destroy();
    server.intercept = undefined;
    while (open > 0) await connector.makeRequest("GET", "/queue");
    expect(open).toBe(0);
  });

  test("may be read more slowly than the server may be silent", async () => {
    const connector = connect({ requestTimeoutMs: 60 });
    server.intercept = (_request, response) => {
      response.write("a".repeat(200_000));
      setTimeout(() => response.end("b"), 20);
      return true;
    };
    const { body } = await connector.downloadOutput(file);
    let bytes = 0;
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes < 100_000) await delay(100);
    }
    expect(bytes).toBe(200_001);
  });

  test("are uploaded as multipart, and the server's own name is returned", async () => {
    const connector = connect();
    server.intercept = ({ body }, response) => {
      expect(body).toContain('name="image"; filename="ref.png"');
      expect(body).toContain("PNG bytes");
      expect(body).toMatch(/name="subfolder"\r\n\r\ngenga/);
      answer(response, { status: 200, json: { name: "ref (1).png", subfolder: "genga", type: "input" } });
      return true;
    };
    await expect(
      connector.uploadImage({
        bytes: Buffer.from("PNG bytes"),
        filename: "ref.png",
        mediaType: "image/png",
        subfolder: "genga",
      }),
    ).resolves.toEqual({ name: "ref (1).png", subfolder: "genga", type: "input" });
  });
});

describe("an upload that is turned away", () => {
  test.each([
    [400, "request_refused", "invalid"],
    [413, "request_refused", "invalid"],
    [404, "bad_reply", "server"],
    [405, "bad_reply", "server"],
    [302, "bad_reply", "server"],
  ])("with HTTP %s is %s: class %s", async (status, code, errorClass) => {
    server.intercept = (_request, response) => {
      answer(response, { status, text: "no" });
      return true;
    };
    const upload = connect().uploadImage({ bytes: Buffer.from("PNG bytes"), filename: "ref.png" });
    await expect(upload).rejects.toMatchObject({ code, errorClass, httpStatus: status });
  });
});

describe("giving up", () => {
  test("an aborted watch throws the caller's reason at once, and the prompt goes on", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    server.begin();
    const stopping = new AbortController();
    const { ended, until } = follow(connector, promptId, { signal: stopping.signal });
    await until(isMessage("execution_start"));
    stopping.abort(new Error("lease lost"));
    await expect(ended).rejects.toThrow("lease lost");
    await expect(connector.lookup(promptId)).resolves.toEqual({ state: "running" });
  });

  test("closing the connector ends its watches and frees its sockets", async () => {
    const connector = connect();
    const promptId = randomUUID();
    await connector.submit({ promptId, workflow });
    const { ended } = follow(connector, promptId);
    await connector.close();
    await expect(ended).rejects.toMatchObject({ code: "connector_closed" });
    await server.until(() => !server.isRegistered(connector.clientId));
    await expect(connector.connect()).rejects.toMatchObject({ code: "connector_closed" });
  });

  test("HTTP errors say what they are", async () => {
    const connector = connect();
    await expect(connector.makeRequest("GET", "/nowhere")).rejects.toMatchObject({
      code: "request_refused",
      httpStatus: 404,
    });
    server.intercept = (_request, response) => {
      answer(response, { status: 403, text: "denied" });
      return true;
    };
    await expect(connector.queue()).rejects.toMatchObject({ code: "access_denied", errorClass: "server" });
    const stopping = new AbortController();
    stopping.abort(new Error("mine"));
    await expect(connector.queue({ signal: stopping.signal })).rejects.toThrow("mine");
  });
});

function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

describe("many prompts at once", () => {
  // In a process of its own: Jest's `process` is a copy that hears no warnings.
  test("are watched without a warning of a leak", async () => {
    const fixture = fileURLToPath(new URL("fixtures/watch-many.ts", import.meta.url));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--import", "tsx", fixture]);
    expect(stdout).toBe("30 looks failed\n");
    expect(stderr).not.toContain("MaxListenersExceededWarning");
  });
});
