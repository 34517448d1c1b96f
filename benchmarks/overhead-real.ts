/**
 * What Genga costs on top of a real ComfyUI: jobs of EmptyImage → ImageScale → SaveImage, which take that server a few
 * milliseconds each, so that everything but rendering counts. A plain client posts all jobs at once, waits for their ends and fetches
 * the same files; then Genga does the same jobs as one batch. They take turns for some rounds, since other load on the
 * machine changes both. Prints plain ÷ Genga, and beside it the bound that the processors set: plain wall ÷ the larger
 * of plain wall and (all processor time of Genga's run, the server's included) ÷ cores. The latter needs
 * Linux and a ComfyUI on this machine. In the same rounds the plain client does them once more, through the port that speaks
 * ComfyUI's own protocol (the row `door`): Genga's wall ÷ its wall, with the bound that the processors set for that.
 *
 * COMFYUI_URL=http://127.0.0.1:8188 npm run bench:overhead-real [-- --jobs 200 --rounds 3]
 */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { runGenga, runPlain, warmUp } from "./support/both-ways.ts";
import { processListeningOn } from "./support/listening-process.ts";
import { median } from "./support/median.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(200),
  rounds: count.default(3),
  serverPid: count.optional(),
});

/** Each is different, so that nothing comes from the server's cache. */
function graph(run: string, index: number): Workflow {
  const color = Math.floor(Math.random() * 0xffffff);
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": {
      class_type: "ImageScale",
      inputs: { image: ["1", 0], upscale_method: "nearest-exact", width: 128, height: 128, crop: "disabled" },
    },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `bench-${run}/${index}` } },
  };
}

/** The names of their programs. */
const databases = ["postgres", "valkey-server", "redis-server"];

/** What one way to do the jobs took. */
interface Taken {
  readonly wallMs: number;
  /** Of all processes by their names; empty where it cannot be measured. */
  readonly processorMs: ReadonlyMap<string, number>;
}

/** @param pids of all that works, the ComfyUI included; null if that is not on this machine */
async function measured(
  pids: ReadonlyMap<number, string> | null,
  work: () => Promise<number>,
): Promise<Taken> {
  if (pids === null) return { wallMs: await work(), processorMs: new Map() };
  const before = await processorMsOf(pids, databases);
  const wallMs = await work();
  const after = await processorMsOf(pids, databases);
  return {
    wallMs,
    processorMs: new Map([...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)])),
  };
}

/** The largest possible ratio of `baseMs` to what was taken: the processors set it, even if nothing ever waited. */
function boundOf(baseMs: number, { processorMs }: Taken): number {
  const busyMs = sum([...processorMs.values()]) / availableParallelism();
  return baseMs / Math.max(baseMs, busyMs);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The three ways in one round. */
interface Round {
  readonly plain: Taken;
  readonly genga: Taken;
  readonly door: Taken;
}

function rowsOf(rounds: readonly Round[], note: string): Row[] {
  const own = rounds.map(({ plain, genga }) => ({
    ratio: plain.wallMs / genga.wallMs,
    bound: boundOf(plain.wallMs, genga),
  }));
  const door = rounds.map(({ genga, door: taken }) => ({
    ratio: genga.wallMs / taken.wallMs,
    bound: boundOf(genga.wallMs, taken),
  }));
  const row = (bench: string, figure: string, value: number, more: Partial<Row> = {}): Row => ({
    ...{ bench, figure, value, unit: "×", ...more },
  });
  const share = (figures: typeof own): number => median(figures.map(({ ratio, bound }) => ratio / bound));
  const bound = (figures: typeof own): number => median(figures.map((figure) => figure.bound));
  const ratio = (figures: typeof own): number => median(figures.map((figure) => figure.ratio));
  const [real, client] = ["plain ÷ Genga", "Genga ÷ the plain client through the door"];
  const asked = row("door", client, ratio(door), { reach: { atLeast: 0.9 }, note });
  if (rounds.some(({ genga }) => genga.processorMs.size === 0)) {
    const why = "no bound: it needs Linux, and a ComfyUI on this machine";
    return [row("overhead, real", real, ratio(own), { note: `${note}; ${why}` }), asked];
  }
  return [
    row("overhead, real", `(${real}) ÷ bound of the processors`, share(own), {
      ...{ reach: { atLeast: 0.85 }, note },
    }),
    row("overhead, real", real, ratio(own)),
    row("overhead, real", "bound of the processors", bound(own)),
    asked,
    row("door", `(${client}) ÷ bound of the processors`, share(door)),
    row("door", "bound of the processors", bound(door)),
  ];
}

export async function run({ jobs, rounds, ...options }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const comfyUrl = z
    .url({ error: "Set COMFYUI_URL to the address of a ComfyUI." })
    .parse(process.env["COMFYUI_URL"]);
  const serverPid = options.serverPid ?? (await processListeningOn(comfyUrl));
  const graphs = (name: string): Workflow[] => Array.from({ length: jobs }, (_, index) => graph(name, index));
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  const env = {
    DATABASE_URL: services.databaseUrl,
    REDIS_URL: services.redisUrl,
    COMFYUI_URLS: comfyUrl,
    DATA_DIR: folder,
    ...{ PORT: "0", COMFYUI_DOOR_PORT: "0", LOG_LEVEL: "warn" },
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  // PostgreSQL and Redis descend from this process, too.
  const pids = new Map([
    [process.pid, "client"],
    [worker.pid, "worker"],
    [api.pid, "API"],
  ]);
  if (serverPid !== null) pids.set(serverPid, "ComfyUI");
  const all = serverPid === null ? null : pids;
  try {
    const apiUrl = String(api.details["url"]);
    const doorUrl = String(api.details["doorUrl"]);
    await warmUp({ comfyUrl, apiUrl, doorUrl }, graphs, true);
    const done: Round[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plain = await measured(null, () =>
        runPlain(comfyUrl, graphs(`plain-${round}`), { fetchesFiles: true }),
      );
      const genga = await measured(all, () => runGenga(apiUrl, graphs(`genga-${round}`)));
      const door = await measured(all, () =>
        runPlain(doorUrl, graphs(`door-${round}`), { fetchesFiles: true }),
      );
      done.push({ plain, genga, door });
      console.log(
        `round ${round}: plain ${plain.wallMs.toFixed(0)} ms, Genga ${genga.wallMs.toFixed(0)} ms, through the door ${door.wallMs.toFixed(0)} ms`,
      );
      for (const [name, { processorMs }] of Object.entries({ Genga: genga, door })) {
        const shares = [...processorMs].map(([process, ms]) => `${process} ${(ms / jobs).toFixed(1)}`);
        if (shares.length > 0) console.log(`  ${name}, processor ms a job: ${shares.join(", ")}`);
      }
    }
    return rowsOf(done, `${jobs} jobs, ${rounds} rounds`);
  } finally {
    for (const service of [worker, api]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
