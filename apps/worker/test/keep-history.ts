import { startSimulatorProcess, quickSimulator, type SimulatorProcess } from "@genga/testing";
import { startOddComfyUI, type OddComfyUI } from "./support/odd-comfyui.ts";

/**
 * A simulated server that keeps its history: Genga deletes what it has read there, and tests read what the server was given.
 */
export async function startKeepingHistory(
  args: readonly string[] = [],
): Promise<{ simulator: SimulatorProcess; front: OddComfyUI }> {
  const simulator = await startSimulatorProcess(["--port", "0", ...quickSimulator, ...args]);
  const front = await startOddComfyUI(simulator.url);
  front.refuse = (method, path) =>
    method === "POST" && path === "/history" ? { status: 200, body: "" } : undefined;
  return { simulator, front };
}
