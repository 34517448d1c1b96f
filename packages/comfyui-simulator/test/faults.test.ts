import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { launcher } from "@genga/testing";
import { startSimulator, type FaultRequest, type Simulator } from "../src/index.ts";
import { flatGraph, sceneGraph, sleepGraph, TestClient, textGraph } from "./client.ts";

const lostId = "0f8fad5b-d9cb-469f-a165-708677289501";
const oddId = "0f8fad5b-d9cb-469f-a165-708677289502";
const killedId = "0f8fad5b-d9cb-469f-a165-708677289503";

describe.each(["0.3", "0.28"] as const)("a server of %s", (api) => {
  let simulator: Simulator;
  let client: TestClient;

  beforeAll(async () => {
    simulator = await startSimulator({ api, timing: { loadMs: 0, stepMs: 0, saveMs: 0, historyLagMs: 0 } });
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
    simulator.clearFaults();
    await client.close();
  });

  async function control(fault: FaultRequest): Promise<number> {
    const reply = await fetch(`${simulator.controlUrl}/faults`, {
      method: "POST",
      body: JSON.stringify(fault),
    });
    await reply.text();
    return reply.status;
  }

  test("drop-sockets breaks sockets without a close frame, and work goes on", async () => {
    const socket = await new TestClient(simulator.url, "dropped").connect();
    const closed = once(socket, "close");
    const promptId = await client.submit(textGraph("x"));
    expect(await control({ kind: "drop-sockets" })).toBe(200);
    expect((await closed)[0]).toBe(1006);
    const watcher = new TestClient(simulator.url, "watcher");
    await watcher.connect();
    await watcher.run(textGraph("y"));
    expect(promptId in (await watcher.get(`/history/${promptId}`))).toBe(true);
    await watcher.close();
  });

  test("half-open sockets stay open, silent, and answer no ping", async () => {
    const silent = new TestClient(simulator.url, "silent");
    const socket = await silent.connect();
    await silent.message(({ type }) => type === "status");
    let pongs = 0;
    socket.on("pong", () => (pongs += 1));
    await control({ kind: "half-open-sockets" });
    const before = silent.received.length;
    socket.ping();
    const watcher = new TestClient(simulator.url, "watcher");
    await watcher.connect();
    await watcher.run(textGraph("z"));
    expect([silent.received.length - before, pongs, socket.readyState]).toEqual([0, 0, socket.OPEN]);
    await watcher.close();
    socket.terminate();
  });

  test("a frozen server answers everything late, and the control interface at once", async () => {
    const started = performance.now();
    await control({ kind: "freeze", ms: 400 });
    const asked = client.fetch("/queue");
    const state = (await (await fetch(`${simulator.controlUrl}/state`)).json()) as { isFrozen: boolean };
    expect(state.isFrozen).toBe(true);
    expect((await asked).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThan(350);
  });

  test("a wedged server takes prompts and starts none", async () => {
    await control({ kind: "wedge" });
    await client.submit(textGraph("w"));
    const queue = await client.get("/queue");
    expect([queue["queue_running"], (queue["queue_pending"] as unknown[]).length]).toEqual([[], 1]);
  });

  test("a wedged server never ends the prompt that was running", async () => {
    const promptId = await client.submit(sleepGraph(60, 1, "none", 600));
    await client.message(({ type }) => type === "progress");
    await control({ kind: "wedge" });
    await client.post("/interrupt", { prompt_id: promptId });
    await client.submit(textGraph("behind"));
    expect(((await client.get("/queue"))["queue_running"] as unknown[]).length).toBe(1);
  });

  test("amnesia forgets everything but the execution log", async () => {
    const entry = await client.run(textGraph("a"));
    const promptId = (entry["prompt"] as [number, string])[1];
    await control({ kind: "amnesia" });
    expect(await client.get("/history")).toEqual({});
    expect((await client.post("/prompt", { prompt: textGraph("b") })).body["number"]).toBe(0);
    const { executions } = (await (await fetch(`${simulator.controlUrl}/executions`)).json()) as {
      executions: { promptId: string; event: string; status?: string }[];
    };
    expect(executions.filter((record) => record.promptId === promptId)).toMatchObject([
      { event: "started" },
      { event: "finished", status: "success" },
    ]);
  });

  test("a crash closes the port until a restart opens it again", async () => {
    await control({ kind: "crash" });
    await expect(client.fetch("/queue")).rejects.toThrow();
    await control({ kind: "restart" });
    expect((await client.fetch(`/queue`)).status).toBe(200);
  });

  test("out-of-memory fails the next sampling and only that", async () => {
    const ending = { "7": { class_type: "PreviewImage", inputs: { images: ["6", 0] } } };
    const graph = sceneGraph({ prompt: "x", seed: 1, size: 64 }, ending);
    await control({ kind: "out-of-memory" });
    const failed = (await client.run(graph)) as {
      status: { messages: [string, { exception_type: string }][] };
    };
    expect(failed.status.messages.at(-1)![1].exception_type).toBe("torch.OutOfMemoryError");
    expect((await client.run(graph))["status"]).toMatchObject({ status_str: "success" });
  });

  test("a lost reply and a 500 after queueing both leave the prompt queued", async () => {
    await control({ kind: "lose-next-prompt-reply" });
    await expect(
      client.post("/prompt", { prompt: textGraph("l"), prompt_id: lostId, client_id: client.id }),
    ).rejects.toThrow();
    await client.finished(lostId);
    await control({ kind: "error-after-queueing" });
    const reply = await client.post("/prompt", {
      prompt: textGraph("e"),
      prompt_id: oddId,
      client_id: client.id,
    });
    expect(reply.status).toBe(500);
    await client.finished(oddId);
    expect(Object.keys(await client.get("/history"))).toEqual([lostId, oddId]);
  });

  test("delay-replies holds back one path only", async () => {
    await control({ kind: "delay-replies", path: "/history", ms: 300 });
    const order: string[] = [];
    await Promise.all([
      client.get("/api/history/x").then(() => order.push("history")),
      client.get("/queue").then(() => order.push("queue")),
    ]);
    expect(order).toEqual(["queue", "history"]);
    expect((await fetch(`${simulator.controlUrl}/faults`, { method: "DELETE" })).status).toBe(200);
  });

  test("spoilt outputs are reported as successes", async () => {
    const sizes: [number, number][] = [];
    for (const [index, kind] of (["truncate-output", "empty-output", "missing-output"] as const).entries()) {
      await control({ kind });
      const entry = await client.run(flatGraph(index + 1, `spoilt-${kind}`));
      expect(entry["status"]).toMatchObject({ status_str: "success" });
      const view = await client.fetch(`/view?filename=spoilt-${kind}_00001_.png`);
      sizes.push([view.status, (await view.arrayBuffer()).byteLength]);
    }
    const whole = await client.run(flatGraph(1, "whole"));
    expect(whole["status"]).toMatchObject({ status_str: "success" });
    const bytes = (await (await client.fetch(`/view?filename=whole_00001_.png`)).arrayBuffer()).byteLength;
    expect(sizes[0]![1]).toBeGreaterThan(0);
    expect(sizes[0]![1]).toBeLessThan(bytes);
    expect(sizes.slice(1)).toEqual([
      [200, 0],
      [404, 0],
    ]);
  });

  test("an unknown fault is refused with the reason", async () => {
    const reply = await fetch(`${simulator.controlUrl}/faults`, {
      method: "POST",
      body: '{"kind":"earthquake"}',
    });
    expect([reply.status, await reply.text()]).toEqual([400, expect.stringContaining("kind")]);
  });
});

test("the command line starts a server whose execution log survives a kill", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "simulator-cli-"));
  const log = path.join(folder, "executions.jsonl");
  const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
  const options = ["--port", "0", "--data-dir", folder, "--execution-log", log, "--save-ms", "0"];
  const child = spawn(process.execPath, [launcher, main, ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    let url = "";
    for await (const line of createInterface({ input: child.stdout })) {
      url = /^simulator listening on (\S+)$/.exec(line)?.[1] ?? "";
      if (url !== "") break;
    }
    const user = new TestClient(url, "cli");
    await user.connect();
    await user.submit(sleepGraph(60, 3), { prompt_id: killedId });
    await user.message(({ type, data }) => type === "executing" && data["node"] === "2");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(readFileSync(log, "utf8")).toMatch(
      new RegExp(`^\\{"promptId":"${killedId}","event":"started","at":"[^"]+"\\}\\n$`),
    );
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
