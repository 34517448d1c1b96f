import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Workflow } from "@genga/comfyui";
import { startSimulatorProcess, type SimulatorProcess } from "@genga/testing";
import sharp from "sharp";
import { type Row } from "../support/row.ts";
import { type Contestant } from "./run-peers.ts";

const sleepMs = 200;
/** The fault comes when this share of the jobs has begun. */
const faultShare = 1 / 3;
/** A killed server comes back after so long. */
export const downMs = 2_000;
const lookEveryMs = 20;

interface Options {
  faultJobs: number;
  deadlineMs: number;
}

/** A server of which the process can be another one after a fault. */
interface Server {
  process: SimulatorProcess;
}

const faults = {
  "WebSockets broken": async ({ process }: Server): Promise<void> => {
    await process.fault({ kind: "drop-sockets" });
  },
  "server killed": async (server: Server): Promise<void> => {
    const { args, exited } = server.process;
    server.process.signal("SIGKILL");
    await exited;
    await sleep(downMs);
    server.process = await startSimulatorProcess([...args]);
  },
};

/**
 * For each fault and contestant: how many of its jobs it ended well, with their pictures, when the fault came in the middle of
 * them. How often a job was rendered is told by the colour of the pictures on the server's disk: each job has one of its own.
 */
export async function compareFaults(
  simulator: SimulatorProcess,
  contestants: readonly Contestant[],
  { faultJobs, deadlineMs }: Options,
): Promise<Row[]> {
  const server: Server = { process: simulator };
  const rows: Row[] = [];
  let firstColor = 1;
  try {
    for (const [fault, cause] of Object.entries(faults)) {
      for (const { name, run } of contestants) {
        const colors = Array.from({ length: faultJobs }, (_, index) => firstColor + index);
        firstColor += faultJobs;
        const before = (await server.process.executions()).length;
        const running = run(simulator.url, colors.map(graph), deadlineMs);
        const begun = async (): Promise<number> => (await server.process.executions()).length - before;
        while ((await begun()) < faultJobs * faultShare) await sleep(lookEveryMs);
        await cause(server);
        const { isDone } = await running;
        const done = isDone.filter((is) => is).length;
        const renders = await countRenders(simulator, colors);
        const lost = faultJobs - done;
        const twice = renders.filter((times) => times > 1).length;
        console.log(`${fault}, ${name}: ${done} done, ${lost} lost, ${twice} rendered twice`);
        rows.push({
          ...{ bench: "peers", figure: `${fault}: jobs that ${name} ended well`, value: done },
          ...{ unit: `of ${faultJobs}`, note: `${lost} lost, ${twice} rendered twice` },
          ...(name === "Genga" && { reach: { atLeast: faultJobs } }),
        });
      }
    }
    return rows;
  } finally {
    if (server.process !== simulator) await server.process.stop();
  }
}

/** A job whose picture has a colour of its own. */
export function graph(color: number): Workflow {
  const seconds = sleepMs / 1_000;
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": {
      class_type: "ProtoSleep",
      inputs: { image: ["1", 0], seconds, steps: 4, preview: "none", seed: color },
    },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `fault/${color}` } },
  };
}

/** How many pictures of each colour the server has on its disk. */
export async function countRenders(
  { args }: Pick<SimulatorProcess, "args">,
  colors: readonly number[],
): Promise<number[]> {
  const dataDir = args[args.indexOf("--data-dir") + 1];
  if (dataDir === undefined) throw new Error("The folder of the simulator is not known.");
  const folder = join(dataDir, "output");
  const entries = await readdir(folder, { recursive: true });
  const counts = new Map<number, number>();
  for (const name of entries.filter((entry) => entry.endsWith(".png"))) {
    // A kill may leave half a picture, which is no render.
    const pixels = await sharp(join(folder, name))
      .removeAlpha()
      .raw()
      .toBuffer()
      .catch(() => null);
    if (pixels === null) continue;
    const [red = 0, green = 0, blue = 0] = pixels;
    const color = red * 0x1_00_00 + green * 0x1_00 + blue;
    counts.set(color, (counts.get(color) ?? 0) + 1);
  }
  return colors.map((color) => counts.get(color) ?? 0);
}
