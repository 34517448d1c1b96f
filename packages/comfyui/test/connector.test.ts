import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import {
  connect,
  follow,
  image,
  isMessage,
  isType,
  serveEachTest,
  server,
  uint32,
  workflow,
} from "./connector-under-test.ts";
import { launcher } from "@genga/testing";
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

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
    await expect(connector.lookup(randomUUID())).resolves.toEqual({ state: "absent", others: [third] });
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

describe("many prompts at once", () => {
  // In a process of its own: Jest's `process` is a copy that hears no warnings.
  test("are watched without a warning of a leak", async () => {
    const fixture = fileURLToPath(new URL("fixtures/watch-many.ts", import.meta.url));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [launcher, fixture]);
    expect(stdout).toBe("30 looks failed\n");
    expect(stderr).not.toContain("MaxListenersExceededWarning");
  });
});
