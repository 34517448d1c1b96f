import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { startSimulator, type Simulator } from "../src/index.ts";
import { flatGraph, sleepGraph, TestClient, textGraph, type Graph } from "./client.ts";

const instant = { loadMs: 0, stepMs: 0, saveMs: 0, historyLagMs: 0 };

let simulator: Simulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await startSimulator({ timing: instant });
});
afterAll(async () => {
  await simulator.stop();
});
beforeEach(async () => {
  await simulator.fault({ kind: "restart" });
  client = new TestClient(simulator.url, "tester");
  await client.connect();
});
afterEach(async () => {
  await client.close();
});

function outputsOf(entry: Record<string, unknown>): Record<string, unknown> {
  return entry["outputs"] as Record<string, unknown>;
}

test("is 0.28 unless told otherwise", async () => {
  expect(await client.get("/system_stats")).toMatchObject({ system: { comfyui_version: "0.28.0" } });
});

test("insists on UUIDs", async () => {
  const { status, body } = await client.post("/prompt", { prompt: textGraph("x"), prompt_id: "job-1" });
  expect([status, (body["error"] as { type: string }).type]).toEqual([400, "invalid_prompt_id"]);
  expect((await client.post("/prompt", { prompt: textGraph("x"), prompt_id: null })).status).toBe(200);
});

test("lists jobs under /api and cancels them whether they run or wait", async () => {
  const promptId = "0f8fad5b-d9cb-469f-a165-70867728950e";
  await client.submit(sleepGraph(60, 2, "none", 1_000), { prompt_id: promptId });
  await client.message(({ type, data }) => type === "executing" && data["node"] === "2");
  const waiting = await client.submit(textGraph("waits"));
  expect((await client.post(`/api/jobs/${waiting}/cancel`, {})).body).toEqual({ cancelled: true });
  expect(await client.get(`/api/jobs/${promptId}`)).toMatchObject({ id: promptId, status: "in_progress" });
  expect((await client.post(`/api/jobs/${promptId}/cancel`, {})).body).toEqual({ cancelled: true });
  await client.finished(promptId);
  expect(await client.get(`/api/jobs/${promptId}`)).toMatchObject({ status: "cancelled" });
  expect((await client.post(`/api/jobs/${promptId}/cancel`, {})).body).toEqual({ cancelled: false });
  expect((await client.fetch(`/jobs`)).status).toBe(404);
});

test("shows numbers in the queue and in history exactly as they were sent", async () => {
  const promptId = "0f8fad5b-d9cb-469f-a165-70867728950f";
  const graph = { ...sleepGraph(60, 0, "none", 1_000), "9": textGraph("9")["1"] };
  const body = JSON.stringify({ prompt: graph, prompt_id: promptId, client_id: client.id })
    .replace('"seed":0', '"seed":18446744073709551615,"unused":9007199254740993,"whole":1.0,"tiny":1e-7')
    .replace('"seconds":60', '"seconds":60.0');
  await (await client.fetch("/prompt", { method: "POST", body })).text();
  await client.message(({ type, data }) => type === "executing" && data["node"] === "2");
  const shown =
    '"seconds": 60.0, "steps": 1000, "preview": "none", "seed": 18446744073709551615, ' +
    '"unused": 9007199254740993, "whole": 1.0, "tiny": 1e-07';
  expect(await (await client.fetch("/queue")).text()).toContain(shown);
  await client.post(`/api/jobs/${promptId}/cancel`, {});
  await client.finished(promptId);
  expect(await (await client.fetch(`/history/${promptId}`)).text()).toContain(shown);
});

test("a blocked node is reported in mid-run, and the prompt succeeds without its output", async () => {
  const graph: Graph = {
    ...textGraph("good"),
    "2": { class_type: "PrimitiveInt", inputs: { value: 7 } },
    "3": { class_type: "ProtoBlock", inputs: { value: ["2", 0], mode: "message" } },
    "4": { class_type: "PreviewAny", inputs: { source: ["3", 0] } },
  };
  const entry = await client.run(graph);
  expect(Object.keys(outputsOf(entry))).toEqual(["1"]);
  expect(entry["status"]).toMatchObject({ status_str: "success", completed: true });
  const types = client.received.map(({ type }) => type);
  expect(types.indexOf("execution_error")).toBeGreaterThan(0);
  expect(types.indexOf("execution_error")).toBeLessThan(types.indexOf("execution_success"));
  const error = client.received.find(({ type }) => type === "execution_error");
  expect(error?.data).toMatchObject({
    node_id: "4",
    exception_type: "ExecutionBlocked",
    exception_message: "Execution Blocked: blocked on purpose",
  });
  expect(error?.data).not.toHaveProperty("timestamp");
});

test("nodes that stand in for another have ids of their own, and their outputs are missing when it was cached", async () => {
  const graph = (): Graph => ({
    "1": { class_type: "EmptyImage", inputs: { width: 16, height: 16, batch_size: 1, color: 3 } },
    "57:2": { class_type: "ProtoExpand", inputs: { image: ["1", 0], inner: "preview", seed: 1 } },
    "3": { class_type: "PreviewImage", inputs: { images: ["57:2", 0] } },
  });
  const first = await client.run(graph());
  expect(Object.keys(outputsOf(first)).sort()).toEqual(["3", "57:2.0.0.2"]);
  const inner = client.received.find(
    ({ type, data }) => type === "executing" && data["node"] === "57:2.0.0.2",
  );
  expect(inner?.data["display_node"]).toBe("57:2");
  const again = await client.run(graph());
  expect(Object.keys(outputsOf(again))).toEqual(["3"]);
});

test("an interrupt waits for asynchronous nodes and hits the next one", async () => {
  const asleep = (seed: number): Graph[string] => ({
    class_type: "ProtoAsync",
    inputs: { seconds: 0.2, seed, fail: false },
  });
  const graph = {
    "1": asleep(1),
    "2": asleep(2),
    "3": { class_type: "ProtoJoin", inputs: { a: ["1", 0], b: ["2", 0] } },
  };
  const promptId = await client.submit(graph);
  await client.message(({ type, data }) => type === "executing" && data["node"] === "2");
  await client.post("/interrupt", {});
  await client.finished(promptId);
  const end = client.received.find(({ type }) => type === "execution_interrupted");
  expect(end?.data).toMatchObject({ node_id: "3" });
  expect([...(end?.data["executed"] as string[])].sort()).toEqual(["1", "2"]);
});

test("a class that was replaced runs as the one that took its place", async () => {
  const entry = await client.run({
    "1": {
      class_type: "T2IAdapterLoader",
      inputs: { t2i_adapter_name: "control_v11p_sd15_lineart.safetensors" },
      _meta: { title: "old" },
    } as Graph[string],
    "2": { class_type: "PreviewAny", inputs: { source: ["1", 0] } },
  });
  expect(entry["status"]).toMatchObject({ status_str: "success" });
  expect(entry["prompt"]).toMatchObject({
    2: {
      "1": {
        class_type: "ControlNetLoader",
        inputs: { control_net_name: "control_v11p_sd15_lineart.safetensors" },
      },
    },
  });
});

describe("with memory enough", () => {
  test("a prompt from before the last one is still cached, and names its old file", async () => {
    const roomy = await startSimulator({ timing: instant, cacheKeeps: "every-prompt" });
    const user = new TestClient(roomy.url, "roomy");
    await user.connect();
    try {
      const first = await user.run(flatGraph(1, "a"));
      await user.run(flatGraph(2, "b"));
      expect(outputsOf(await user.run(flatGraph(1, "a")))).toEqual(outputsOf(first));
    } finally {
      await user.close();
      await roomy.stop();
    }
  });

  test("but not on most machines", async () => {
    const first = await client.run(flatGraph(1, "a"));
    await client.run(flatGraph(2, "b"));
    expect(outputsOf(await client.run(flatGraph(1, "a")))).not.toEqual(outputsOf(first));
  });
});
