import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { type Workflow } from "../src/index.ts";
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
import { answer } from "./scripted-comfyui.ts";

serveEachTest();

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
