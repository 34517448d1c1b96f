/**
 * Genga beside clients and servers of others that can be installed from npm and PyPI: @stable-canvas/comfyui-client,
 * @saintno/comfyui-sdk, comfy-api-proxy. First the same jobs by each of them and by a plain client, in turns, on a simulated
 * server, and on a real one if COMFYUI_URL is given: everybody posts all jobs at once and fetches what they have made. Then,
 * on the simulated server, how many jobs end well when all WebSockets break, and when the server is killed and
 * comes back after two seconds. The peers are installed below node_modules/.cache on the first run. Salad's comfyui-api
 * is in no registry: one that runs in front of the same real server takes part when COMFYUI_API_URL is its address.
 *
 * npm run bench:peers [-- --jobs 100 --sleep-ms 50 --rounds 3 --fault-jobs 30 --deadline-ms 60000 --only real]
 */
import { rm } from "node:fs/promises";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startStack, type SimulatorProcess } from "@genga/testing";
import { z } from "zod";
import { compareFaults } from "./peers/compare-faults.ts";
import { genga, openPeers, type Contestant } from "./peers/run-peers.ts";
import { wrapperOf } from "./peers/wrapper-peer.ts";
import { runPlain } from "./support/both-ways.ts";
import { median } from "./support/median.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(100),
  sleepMs: count.default(50),
  rounds: count.default(3),
  faultJobs: count.default(30),
  deadlineMs: count.default(60_000),
  only: z.enum(["simulator", "real"]).optional(),
});
type Options = z.infer<typeof optionsSchema>;

/** EmptyImage → sleep → SaveImage on the simulator, EmptyImage → ImageScale → SaveImage elsewhere; nothing comes from a cache. */
function graph(run: string, index: number, sleepMs: number | null): Workflow {
  const color = Math.floor(Math.random() * 0xffffff);
  const image = ["1", 0];
  const work =
    sleepMs === null
      ? {
          class_type: "ImageScale",
          inputs: { image, upscale_method: "nearest-exact", width: 128, height: 128, crop: "disabled" },
        }
      : {
          class_type: "ProtoSleep",
          inputs: { image, seconds: sleepMs / 1_000, steps: 5, preview: "none", seed: color },
        };
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": work,
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `bench-${run}/${index}` } },
  };
}

/** In turns: the plain client, and then each contestant; the first round warms up and is not counted. */
async function compareSpeed(
  where: string,
  comfyUrl: string,
  contestants: readonly Contestant[],
  { jobs, rounds, deadlineMs, sleepMs }: Omit<Options, "sleepMs"> & { sleepMs: number | null },
): Promise<Row[]> {
  const ratios = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  const walls: number[] = [];
  const undone = new Map<string, number>();
  for (let round = 0; round <= rounds; round += 1) {
    const graphsOf = (name: string): Workflow[] =>
      Array.from({ length: jobs }, (_, index) =>
        graph(`${name.replace(/\W/g, "")}-${round}`, index, sleepMs),
      );
    const plainMs = await runPlain(comfyUrl, graphsOf("plain"), { fetchesFiles: true });
    if (round > 0) walls.push(plainMs);
    for (const { name, run } of contestants) {
      const { wallMs, isDone } = await run(comfyUrl, graphsOf(name), deadlineMs);
      const missing = isDone.filter((done) => !done).length;
      console.log(
        `${where}, round ${round}: plain ${plainMs.toFixed(0)} ms, ${name} ${wallMs.toFixed(0)} ms, ${missing} jobs not done`,
      );
      if (round === 0) continue;
      ratios.get(name)?.push(plainMs / wallMs);
      undone.set(name, (undone.get(name) ?? 0) + missing);
    }
  }
  return [
    {
      ...{ bench: "peers", figure: `${where}: the plain client`, value: (1_000 * jobs) / median(walls) },
      ...{ unit: "jobs/s", note: `${jobs} jobs, ${rounds} rounds` },
    },
    ...contestants.map(({ name }): Row => ({
      ...{
        bench: "peers",
        figure: `${where}: plain wall ÷ that of ${name}`,
        value: median(ratios.get(name) ?? []),
      },
      ...{ unit: "×", note: `${undone.get(name) ?? 0} jobs not done` },
    })),
  ];
}

/** Uses Genga with this one server. */
async function withGenga<Result>(
  databaseUrl: string,
  server: { comfyUrl: string } | "simulator",
  use: (contestant: Contestant, simulator: SimulatorProcess | undefined) => Promise<Result>,
): Promise<Result> {
  const stack = await startStack({
    ...{ databaseUrl, simulators: server === "simulator" ? 1 : 0 },
    simulatorArgs: ["--save-ms", "0", "--history-lag-ms", "0"],
    env: { LOG_LEVEL: "warn", ...(server !== "simulator" && { COMFYUI_URLS: server.comfyUrl }) },
  });
  return await use(genga(stack.url), stack.simulators[0]).finally(() => stack.stop());
}

export async function run(options: Options): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  const comfyUrl = process.env["COMFYUI_URL"] ?? "";
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    const peers = await openPeers(folder);
    if (peers.length === 0) throw new Error("No peer can be installed on this machine.");
    const rows: Row[] = [];
    if (options.only !== "real") {
      await withGenga(services.databaseUrl, "simulator", async (ours, simulator) => {
        if (simulator === undefined) throw new Error("No simulator was started.");
        const all = [ours, ...peers];
        rows.push(...(await compareSpeed("simulator", simulator.url, all, options)));
        rows.push(...(await compareFaults(simulator, all, options)));
      });
    }
    if (options.only === "simulator") return rows;
    if (comfyUrl === "") {
      console.log("no rows of a real server: set COMFYUI_URL");
      return rows;
    }
    const real = await withGenga(services.databaseUrl, { comfyUrl }, (ours) =>
      compareSpeed("real server", comfyUrl, [ours, ...peers, ...wrapperOf(process.env["COMFYUI_API_URL"])], {
        ...options,
        sleepMs: null,
      }),
    );
    return [...rows, ...real];
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
