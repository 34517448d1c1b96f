import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { z } from "zod";

export interface PacedServersOptions {
  servers: number;
  /** Of each running prompt. A tick sends a `progress_state` and the message that follows it on a real server. */
  ticksPerSecond: number;
  /** The steps of a prompt; 0 = it never ends. */
  stepsMax: number;
  /** The least size of the answer to `/object_info`; 0 = that of the recorded classes. */
  objectInfoBytes: number;
  /** Milliseconds since 1970, from which the numbers of steps count. */
  epoch: number;
  /** Whether the bar of a prompt tells the age of its step (when absent), or how many of its steps are done. */
  bar?: "age" | "steps";
}

/** ComfyUI servers in one process that send progress at a set rate, and render nothing (`paced-servers-main.ts`). */
export interface PacedServers extends ServiceProcess {
  readonly urls: readonly string[];
  readonly objectInfoBytes: number;
}

export async function startPacedServers(options: PacedServersOptions): Promise<PacedServers> {
  const { servers, ticksPerSecond, stepsMax, objectInfoBytes, epoch, bar = "age" } = options;
  const service = await startServiceProcess({
    entry: "benchmarks/support/paced-servers-main.ts",
    args: [
      ...["--servers", String(servers), "--ticks-per-second", String(ticksPerSecond)],
      ...["--steps-max", String(stepsMax), "--object-info-bytes", String(objectInfoBytes)],
      ...["--epoch", String(epoch), "--bar", bar],
    ],
    env: {},
  });
  const ports = String(service.details["ports"]).split(",");
  return {
    ...service,
    urls: ports.map((port) => `http://127.0.0.1:${port}`),
    objectInfoBytes: Number(service.details["objectInfoBytes"]),
  };
}

/** The ticks of a server since its start: on a busy machine they are fewer than were asked for. */
export async function ticksOf(serverUrl: string): Promise<number> {
  return z.number().parse(await (await fetch(`${serverUrl}/ticks`)).json());
}

/** A graph that a paced server runs: one picture, inverted again and again, and saved. Each `index` makes another one. */
export function chainOf(nodes: number, index: number): Record<string, object> {
  const graph: Record<string, object> = {
    "1": { class_type: "EmptyImage", inputs: { width: 16, height: 16, batch_size: 1, color: index } },
  };
  for (let id = 2; id < nodes; id += 1)
    graph[id] = { class_type: "ImageInvert", inputs: { image: [String(id - 1), 0] } };
  graph[nodes] = {
    class_type: "SaveImage",
    inputs: { images: [String(nodes - 1), 0], filename_prefix: "x" },
  };
  return graph;
}
