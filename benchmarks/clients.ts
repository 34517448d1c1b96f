/**
 * Clients of ComfyUI from npm and PyPI, unchanged, on Genga's door for them with three simulated servers, while a worker and a server are
 * killed in the middle of their jobs; beside it the same clients on one simulated server that is killed in the same way. A last client
 * takes its pictures by SaveImageWebsocket. Of each: jobs done, lost, and rendered more than once.
 *
 * npm run bench:clients [-- --jobs 50 --deadline-ms 90000 --only PART_OF_A_CLIENTS_NAME]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startSimulatorProcess, startStack, type SimulatorProcess, type Stack } from "@genga/testing";
import { z } from "zod";
import { countRenders, downMs, graph } from "./peers/compare-faults.ts";
import { openPeers, openSimplified, type Contestant } from "./peers/run-peers.ts";
import { runSocketPictures } from "./peers/socket-pictures-peer.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(50),
  deadlineMs: count.default(90_000),
  only: z.string().default(""),
});
type Options = z.infer<typeof optionsSchema>;

/** The fault comes when this share of the jobs has begun. */
const faultShare = 1 / 3;
const lookEveryMs = 20;
const servers = 3;

interface Client extends Contestant {
  /** The graph of the job whose picture has this colour. */
  graphOf: (color: number) => Workflow;
}

/** What the client's jobs came to. */
interface Outcome {
  done: number;
  lost: number;
  /** Jobs that were rendered more than once; `null` = the server keeps no picture by which that could be told. */
  twice: number | null;
  /** What the client said of those that are lost. */
  reasons: readonly string[];
}

async function openClients(folder: string): Promise<Client[]> {
  const peers = [...(await openPeers(folder)), ...(await openSimplified(folder))];
  if (peers.length === 0) throw new Error("No client can be installed on this machine.");
  return [
    ...peers.map((peer) => ({ ...peer, graphOf: graph })),
    { name: "SaveImageWebsocket, like ComfyUI's example", run: runSocketPictures, graphOf: socketGraph },
  ];
}

function socketGraph(color: number): Workflow {
  const saving = { class_type: "SaveImageWebsocket", inputs: { images: ["2", 0] } };
  return { ...graph(color), "3": saving };
}

/** @param simulators those of which the pictures are counted */
async function runWithFault(
  { run, graphOf }: Client,
  url: string,
  colors: readonly number[],
  {
    simulators,
    cause,
    deadlineMs,
  }: { simulators: () => SimulatorProcess[]; cause: () => Promise<void>; deadlineMs: number },
): Promise<Outcome> {
  const begun = async (): Promise<number> =>
    (await Promise.all(simulators().map((simulator) => simulator.executions()))).flat().length;
  const before = await begun();
  const running = run(url, colors.map(graphOf), deadlineMs);
  while ((await begun()) - before < colors.length * faultShare) await sleep(lookEveryMs);
  await cause();
  const { isDone, reasons = [] } = await running;
  const renders = await Promise.all(simulators().map((simulator) => countRenders(simulator, colors)));
  const sums = colors.map((_color, place) => renders.reduce((sum, counts) => sum + (counts[place] ?? 0), 0));
  const done = isDone.filter((is) => is).length;
  const keepsPictures = sums.some((times) => times > 0);
  const twice = keepsPictures ? sums.filter((times) => times > 1).length : null;
  return { done, lost: colors.length - done, twice, reasons };
}

/** On one server, which is killed and comes back. */
async function direct(
  client: Client,
  options: Options,
  colors: readonly number[],
  folder: string,
): Promise<Outcome> {
  const dataDir = `${folder}/direct-${crypto.randomUUID()}`;
  let simulator = await startSimulatorProcess(["--port", "0", "--data-dir", dataDir, "--save-ms", "0"]);
  try {
    return await runWithFault(client, simulator.url, colors, {
      simulators: () => [simulator],
      cause: async () => {
        simulator = await killed(simulator);
      },
      deadlineMs: options.deadlineMs,
    });
  } finally {
    await simulator.stop();
  }
}

async function killed(simulator: SimulatorProcess): Promise<SimulatorProcess> {
  simulator.signal("SIGKILL");
  await simulator.exited;
  await sleep(downMs);
  return await startSimulatorProcess([...simulator.args]);
}

/** Through Genga, of which a worker is killed as well; both come back. */
async function through(
  client: Client,
  options: Options,
  colors: readonly number[],
  databaseUrl: string,
): Promise<Outcome> {
  const stack = await startStack({
    ...{ databaseUrl, simulators: servers, workers: 2 },
    simulatorArgs: ["--save-ms", "0"],
    env: { LOG_LEVEL: "warn", COMFYUI_DOOR_PORT: "0", LEASE_MS: "5000" },
  });
  const simulators = [...stack.simulators];
  try {
    const url = String(stack.apis[0]?.details["doorUrl"]);
    await untilServing(url);
    return await runWithFault(client, url, colors, {
      simulators: () => simulators,
      cause: async () => {
        await killWorker(stack);
        const [first] = simulators;
        if (first !== undefined) simulators[0] = await killed(first);
      },
      deadlineMs: options.deadlineMs,
    });
  } finally {
    await simulators[0]?.stop();
    await stack.stop();
  }
}

async function killWorker(stack: Stack): Promise<void> {
  stack.workers[0]?.signal("SIGKILL");
  await stack.startWorker();
}

/** The door knows the servers as soon as the workers have read their definitions. */
async function untilServing(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/object_info/EmptyImage`).catch(() => null);
    if (answer?.ok === true && (await answer.text()).trim() !== "{}") return;
    await sleep(lookEveryMs);
  }
}

function shown({ done, lost, twice }: Outcome): string {
  return `${done} done, ${lost} lost, ${twice === null ? "renders not counted" : `${twice} rendered twice`}`;
}

export async function run(options: Options): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    const rows: Row[] = [];
    let firstColor = 1;
    for (const client of (await openClients(folder)).filter(({ name }) => name.includes(options.only))) {
      const colors = Array.from({ length: options.jobs }, (_unused, index) => firstColor + index);
      firstColor += options.jobs;
      const ours = await through(client, options, colors, services.databaseUrl);
      const alone = await direct(client, options, colors, folder);
      console.log(`${client.name}: through Genga ${shown(ours)}; on one server ${shown(alone)}`);
      for (const reason of ours.reasons) console.log(`  through Genga: ${reason}`);
      rows.push({
        ...{ bench: "clients", figure: `${client.name}: jobs done through Genga`, value: ours.done },
        ...{ unit: `of ${options.jobs}`, note: `${shown(ours)}; on one server ${shown(alone)}` },
        reach: { atLeast: options.jobs },
      });
    }
    return rows;
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
