import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { startSimulator, type Simulator } from "../src/index.ts";
import { flatGraph, type Graph, sleepGraph, TestClient, textGraph } from "./client.ts";

const instant = { loadMs: 0, stepMs: 0, saveMs: 0, historyLagMs: 0 };

let simulator: Simulator;
let client: TestClient;

beforeAll(async () => {
  simulator = await startSimulator({ timing: instant, bodyBytesMax: 20_000, api: "0.3" });
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

interface Queue {
  readonly queue_running: [number, string][];
  readonly queue_pending: [number, string][];
}

async function queue(): Promise<Queue> {
  return (await client.get("/queue")) as unknown as Queue;
}

/** Keeps the executor busy until it is interrupted, so that what is submitted meanwhile waits. */
async function occupy(): Promise<string> {
  const promptId = await client.submit(sleepGraph(60, 1, "none", 1_000));
  await client.message(
    ({ type, data }) => type === "executing" && data["node"] === "2" && data["prompt_id"] === promptId,
  );
  return promptId;
}

describe("a prompt", () => {
  test("is announced in the server's order and then is in history", async () => {
    const entry = await client.run(flatGraph(1));
    const [promptId] = [(entry["prompt"] as [number, string])[1]];
    expect(client.types(promptId)).toEqual([
      "execution_start",
      "execution_cached",
      "progress_state",
      "executing",
      "progress_state",
      "progress_state",
      "executing",
      "executed",
      "progress_state",
      "execution_success",
      "executing",
    ]);
    expect(entry["outputs"]).toEqual({
      "2": { images: [{ filename: "flat_00001_.png", subfolder: "", type: "output" }] },
    });
  });

  test("may be missing from history at execution_success", async () => {
    const lagging = await startSimulator({ timing: { ...instant, historyLagMs: 300 } });
    const watcher = new TestClient(lagging.url, "watcher");
    await watcher.connect();
    const found: boolean[] = [];
    for (const text of ["a", "b", "c", "d"]) {
      const promptId = await watcher.submit(textGraph(text));
      await watcher.message(
        ({ type, data }) => type === "execution_success" && data["prompt_id"] === promptId,
      );
      found.push(promptId in (await watcher.get(`/history/${promptId}`)));
      await watcher.finished(promptId);
      expect(promptId in (await watcher.get(`/history/${promptId}`))).toBe(true);
    }
    expect(found).toContain(false);
    await watcher.close();
    await lagging.stop();
  });

  test("with the same inputs runs nothing and names the old file, even when that file is gone", async () => {
    const first = await client.run(flatGraph(2, "reused"));
    rmSync(path.join(simulator.outputDir, "reused_00001_.png"));
    const entry = await client.run(flatGraph(2, "reused"));
    expect(entry["outputs"]).toEqual(first["outputs"]);
    const promptId = (entry["prompt"] as [number, string])[1];
    expect(client.types(promptId).filter((type) => type === "executing")).toHaveLength(1);
    expect((await client.fetch("/view?filename=reused_00001_.png")).status).toBe(404);
  });

  test("has results for another id as well, unless its class is told the id", async () => {
    const cachedOf = async (graph: Graph): Promise<unknown> => {
      const promptId = await client.submit(graph);
      await client.finished(promptId);
      return client.received.find(
        ({ type, data }) => type === "execution_cached" && data["prompt_id"] === promptId,
      )?.data["nodes"];
    };
    const told = (id: string): Graph => ({
      [id]: { class_type: "ProtoText", inputs: { text: "told", progress_text: false } },
    });
    const image = { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 3 } };
    const untold = (id: string): Graph => ({
      [id]: image,
      "9": { class_type: "PreviewImage", inputs: { images: [id, 0] } },
    });
    await client.run(told("1"));
    expect(await cachedOf(told("2"))).toEqual([]);
    expect(await cachedOf(told("2"))).toEqual(["2"]);
    await client.run(untold("1"));
    expect(await cachedOf(untold("2"))).toEqual(["2", "9"]);
  });

  test("after another one runs again, because only the last prompt is cached", async () => {
    const first = await client.run(flatGraph(4));
    await client.run(flatGraph(5));
    expect((await client.run(flatGraph(4)))["outputs"]).not.toEqual(first["outputs"]);
  });

  test("without a client sends progress to everybody and nothing else", async () => {
    const other = new TestClient(simulator.url, "other");
    await other.connect();
    const { body } = await client.post("/prompt", { prompt: sleepGraph(0.02, 9, "jpeg", 2) });
    const promptId = String(body["prompt_id"]);
    await client.message(({ type, data }) => {
      const nodes = data["nodes"] as Record<string, { state: string }> | undefined;
      return type === "progress_state" && nodes?.["3"]?.state === "finished";
    });
    expect(new Set(client.types(promptId))).toEqual(new Set(["progress_state", "progress"]));
    expect(client.frames.map((frame) => frame.readUInt32BE(0))).toEqual([1, 1]);
    await other.close();
  });
});

describe("the queue", () => {
  test("runs the smallest number first and equal numbers in the order of their ids", async () => {
    const running = await occupy();
    const numbers: [string, number][] = [
      ["bbb", 5],
      ["aaa", 5],
      ["late", 9],
      ["early", -3],
    ];
    for (const [promptId, number] of numbers)
      await client.submit(textGraph(promptId), { prompt_id: promptId, number });
    expect((await queue()).queue_pending[0]![1]).toBe("early");
    await client.post("/interrupt", { prompt_id: running });
    await client.finished("late");
    expect(
      simulator
        .executions()
        .filter(({ event }) => event === "started")
        .slice(-4)
        .map(({ promptId }) => promptId),
    ).toEqual(["early", "aaa", "bbb", "late"]);
  });

  test("counts refused prompts as well", async () => {
    await client.post("/prompt", { prompt: {} });
    await client.post("/prompt", {});
    expect((await client.post("/prompt", { prompt: textGraph("n") })).body["number"]).toBe(2);
  });

  test("says nothing to the owner of a deleted prompt and keeps no history of it", async () => {
    const running = await occupy();
    const waiting = await client.submit(textGraph("never"));
    await client.post("/queue", { delete: [waiting, "unknown", running] });
    const { queue_running, queue_pending } = await queue();
    expect([queue_running.map(([, id]) => id), queue_pending]).toEqual([[running], []]);
    expect(await client.get(`/history/${waiting}`)).toEqual({});
    expect(client.types(waiting)).toEqual([]);
    await client.post("/interrupt", {});
    await client.finished(running);
  });

  test("takes a prompt although the same id and number are waiting, but answers 500", async () => {
    const running = await occupy();
    await client.submit(textGraph("one"), { prompt_id: "twin", number: 7 });
    const second = await client.post("/prompt", {
      prompt: textGraph("two"),
      client_id: client.id,
      prompt_id: "twin",
      number: 7,
    });
    expect(second.status).toBe(500);
    expect((await queue()).queue_pending).toHaveLength(2);
    await client.post("/interrupt", { prompt_id: running });
    await client.message(
      ({ type, data }) => type === "executed" && JSON.stringify(data["output"]).includes("two"),
    );
  });
});

describe("an interrupt", () => {
  test("reaches only the running prompt that it names", async () => {
    const running = await occupy();
    await client.post("/interrupt", { prompt_id: "another" });
    expect((await queue()).queue_running).toHaveLength(1);
    await client.post("/interrupt", { prompt_id: running });
    await client.finished(running);
    const entry = (await client.get(`/history/${running}`))[running] as {
      status: { messages: [string, unknown][] };
    };
    expect(entry.status).toMatchObject({ status_str: "error", completed: false });
    expect(entry.status.messages.at(-1)![0]).toBe("execution_interrupted");
  });

  test("that comes while the last node works is lost", async () => {
    const promptId = await client.submit({
      "1": { class_type: "EmptyImage", inputs: { width: 8, height: 8, batch_size: 1, color: 1 } },
      "2": { class_type: "ProtoSleepOut", inputs: { image: ["1", 0], seconds: 0.3, seed: 1 } },
    });
    await client.message(({ type, data }) => type === "executing" && data["node"] === "2");
    await client.post("/interrupt", { prompt_id: promptId });
    await client.finished(promptId);
    expect(client.types(promptId)).toContain("execution_success");
  });
});

describe("a socket", () => {
  test("that replaces another one is cut off when the other one finally closes", async () => {
    const late = new TestClient(simulator.url, client.id);
    const socket = await late.connect();
    await late.run(textGraph("served"));
    await client.close();
    await new Promise<void>((resolve) => {
      socket.once("pong", () => {
        resolve();
      });
      socket.ping();
    });
    const before = late.received.length;
    const promptId = await late.submit(textGraph("unheard"));
    const watcher = new TestClient(simulator.url, "watcher");
    await watcher.connect();
    await watcher.run(textGraph("after"));
    expect(promptId in (await late.get(`/history/${promptId}`))).toBe(true);
    expect(late.received).toHaveLength(before);
    await late.close();
    await watcher.close();
  });

  test("that comes back mid-run hears the current node, without a prompt id, and then the rest", async () => {
    const running = await occupy();
    await client.close();
    const back = new TestClient(simulator.url, client.id);
    await back.connect();
    await back.message(({ type, data }) => type === "executing" && data["node"] === "2");
    expect(back.received.slice(0, 2)).toEqual([
      { type: "status", data: { status: { exec_info: { queue_remaining: 1 } }, sid: client.id } },
      { type: "executing", data: { node: "2" } },
    ]);
    await back.post("/interrupt", {});
    await back.finished(running);
    await back.close();
  });

  test("that negotiated metadata gets previews with ids, before the progress", async () => {
    const modern = new TestClient(simulator.url, "modern");
    const socket = await modern.connect();
    socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
    const flags = await modern.message(({ type }) => type === "feature_flags");
    expect(flags.data["supports_preview_metadata"]).toBe(true);
    const entry = await modern.run(sleepGraph(0.01, 11, "png", 1));
    const [frame] = modern.frames;
    expect(frame!.readUInt32BE(0)).toBe(4);
    const metadata = JSON.parse(frame!.subarray(8, 8 + frame!.readUInt32BE(4)).toString()) as unknown;
    expect(metadata).toMatchObject({
      node_id: "2",
      prompt_id: (entry["prompt"] as string[])[1],
      image_type: "image/png",
    });
    await modern.close();
  });
});

describe("a body that kills", () => {
  test.each([
    ["extra_data null", { prompt: flatGraph(6), extra_data: null }],
    [
      "a node without inputs that nothing needs",
      { prompt: { ...flatGraph(7), "8": { class_type: "ImageScale" } }, client_id: "tester" },
    ],
  ])("%s wedges the executor while everything else answers", async (_name, body) => {
    expect((await client.post("/prompt", body)).status).toBe(200);
    await client.submit(textGraph("behind"));
    await client.message(
      ({ type, data }) => type === "status" && JSON.stringify(data).includes('"queue_remaining":2'),
    );
    await client.post("/interrupt", {});
    expect((await queue()).queue_running).toHaveLength(1);
    expect((await queue()).queue_pending).toHaveLength(1);
    expect((await client.get("/system_stats"))["system"]).toBeDefined();
  });

  test("a client id that is a list ends the whole server", async () => {
    const socket = await new TestClient(simulator.url, "victim").connect();
    const closed = once(socket, "close");
    await client.post("/prompt", { prompt: flatGraph(8), client_id: ["x"] });
    expect((await closed)[0]).toBe(1006);
    await expect(client.fetch("/queue")).rejects.toThrow();
  });
});

test("a body over the limit is refused with the server's own text", async () => {
  const reply = await client.fetch(`/prompt`, { method: "POST", body: "x".repeat(20_001) });
  expect([reply.status, await reply.text()]).toEqual([413, "Maximum request body size 20000 exceeded."]);
});

test("values are coerced in place and seeds stay exact", async () => {
  const graph = sleepGraph(0, 0);
  const body = JSON.stringify({ prompt: graph, prompt_id: "exact" })
    .replace('"seed":0', '"seed":18446744073709551615')
    .replace('"width":64', '"width":"96"')
    .replace('"height":64', '"height":96.7');
  await (await client.fetch(`/prompt`, { method: "POST", body })).text();
  await client.run(textGraph("after"));
  const text = await (await client.fetch(`/history/exact`)).text();
  expect(text).toContain('"width": 96, "height": 96,');
  expect(text).toContain('"seconds": 0.0,');
  expect(text).toContain('"seed": 18446744073709551615');
});

test("partly valid prompts are accepted with errors and only their valid outputs run", async () => {
  const prompt = { ...flatGraph(12), "9": { class_type: "SaveImage", inputs: { filename_prefix: "x" } } };
  const { status, body } = await client.post("/prompt", { prompt, client_id: client.id });
  expect([status, Object.keys(body["node_errors"] as object)]).toEqual([200, ["9"]]);
  await client.finished(String(body["prompt_id"]));
});

test("saved files outlive a restart, temp files do not", async () => {
  const graph = flatGraph(13, "kept");
  graph["3"] = { class_type: "PreviewImage", inputs: { images: ["1", 0] } };
  const entry = await client.run(graph);
  const outputs = entry["outputs"] as Record<string, { images: { filename: string }[] }>;
  await simulator.fault({ kind: "amnesia" });
  const view = async (type: string, id: string): Promise<number> =>
    (await client.fetch(`/view?type=${type}&filename=${outputs[id]!.images[0]!.filename}`)).status;
  expect([await view("output", "2"), await view("temp", "3")]).toEqual([200, 404]);
  expect(await client.get("/history")).toEqual({});
  expect(
    readFileSync(path.join(simulator.outputDir, outputs["2"]!.images[0]!.filename)).length,
  ).toBeGreaterThan(0);
});
