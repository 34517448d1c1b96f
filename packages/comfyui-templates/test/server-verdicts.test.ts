import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { type Workflow } from "@genga/comfyui";
import { startSimulator, type Simulator } from "@genga/comfyui-simulator";
import { askUntil } from "@genga/testing";
import { UnfitServerError, VerdictServer } from "../src/server-verdicts.ts";

let simulator: Simulator;
let held = 0;

beforeEach(async () => {
  simulator = await startSimulator({ timing: { loadMs: 0, stepMs: 0, saveMs: 0, historyLagMs: 0 } });
});
afterEach(() => simulator.stop());

/** The simulator's own way to pass time. */
function sleep(): Workflow {
  held += 1;
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 16, height: 16, batch_size: 1, color: held } },
    "2": {
      class_type: "ProtoSleep",
      inputs: { image: ["1", 0], seconds: 60, steps: 600, preview: "none", seed: held },
    },
    "3": { class_type: "PreviewImage", inputs: { images: ["2", 0] } },
  };
}

const graph = (width: number): Workflow => ({
  "1": { class_type: "EmptyImage", inputs: { width, height: 64, batch_size: 1, color: 0 } },
  "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
});

interface Queue {
  queue_running: unknown[];
  queue_pending: unknown[];
}

async function queue(): Promise<Queue> {
  return (await (await fetch(`${simulator.url}/queue`)).json()) as Queue;
}

test("a server's verdicts are had without running anything, and it is given back", async () => {
  const server = await VerdictServer.open(simulator.url, { holder: sleep });
  for (let width = 0; width < 60; width += 1) {
    const { accepted, errors } = await server.judge(graph(width));
    expect(accepted).toBe(width > 0);
    if (!accepted)
      expect(errors).toMatchObject([{ node: "1", input: "width", type: "value_smaller_than_min" }]);
  }
  expect((await queue()).queue_pending).toHaveLength(2);
  expect(await server.close()).toBe(0);
  await askUntil(
    queue,
    ({ queue_running, queue_pending }) => queue_running.length + queue_pending.length === 0,
  );
});

test("a server with work of its own is refused, and one that gets some is left alone", async () => {
  const post = (): Promise<unknown> =>
    fetch(`${simulator.url}/prompt`, { method: "POST", body: JSON.stringify({ prompt: sleep() }) });
  const server = await VerdictServer.open(simulator.url, { holder: sleep });
  await post();
  await expect(server.judge(graph(64))).rejects.toThrow("Another client sent prompts");
  await server.close();
  await expect(VerdictServer.open(simulator.url, { holder: sleep })).rejects.toThrow(UnfitServerError);
});

test("a server without the nodes to hold it with is refused", async () => {
  const holder = (): Workflow => ({ "1": { class_type: "Nope", inputs: {}, _meta: { title: "x" } } });
  await expect(VerdictServer.open(simulator.url, { holder })).rejects.toThrow(UnfitServerError);
});
