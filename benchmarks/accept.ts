/**
 * What it costs to accept ten thousand jobs in one request, by parameters and as raw graphs. Each figure stands beside a
 * floor that was measured in the same run: a bare set-based INSERT of the same rows (graphs and events included) into an
 * empty database of the same schema, a bare `addBulk` of as many tickets, and the event loop of a process that does nothing.
 * No worker runs: what is measured is the acceptance.
 *
 * npm run bench:accept [-- --jobs 10000 --rounds 3]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { Queue } from "bullmq";
import pg from "pg";
import { z } from "zod";

const { values } = parseArgs({
  options: { jobs: { type: "string", default: "10000" }, rounds: { type: "string", default: "3" } },
});
const total = Number(values.jobs);
const rounds = Number(values.rounds);

/** Rows of the bare INSERT that go in one statement: all of one statement's text must fit into memory twice. */
const bareRowsAtOnce = 2_000;

const kinds = {
  parameters: (round: number, index: number) => ({
    type: "image",
    prompt: `round ${round}, shot ${index}: a quiet street at dawn, soft light`,
    negativePrompt: "blurry",
    width: 512,
    height: 512,
    steps: 20,
    seed: round * 1_000_000 + index,
  }),
  graphs: (round: number, index: number) => ({ type: "workflow", workflow: graph(round, index) }),
};

/** A text-to-image graph as people export it; only its prompt and seed are its own. */
function graph(round: number, index: number): object {
  return {
    "3": {
      class_type: "KSampler",
      inputs: {
        ...{
          seed: round * 1_000_000 + index,
          steps: 20,
          cfg: 7.5,
          sampler_name: "euler",
          scheduler: "normal",
        },
        ...{ denoise: 1, model: ["4", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
      },
      _meta: { title: "KSampler" },
    },
    "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    "5": { class_type: "EmptyLatentImage", inputs: { width: 512, height: 512, batch_size: 1 } },
    "6": {
      class_type: "CLIPTextEncode",
      inputs: { text: `round ${round}, shot ${index}: a quiet street at dawn`, clip: ["4", 1] },
      _meta: { title: "Prompt" },
    },
    "7": { class_type: "CLIPTextEncode", inputs: { text: "blurry", clip: ["4", 1] } },
    "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["4", 2] } },
    "9": { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: `shots/${index}` } },
  };
}

/** One that the simulator says it has; set before the first body is made. */
let checkpoint = "";

async function firstCheckpoint(simulatorUrl: string): Promise<string> {
  const response = await fetch(`${simulatorUrl}/object_info/CheckpointLoaderSimple`);
  const schema = z.object({
    CheckpointLoaderSimple: z.object({ input: z.object({ required: z.record(z.string(), z.unknown()) }) }),
  });
  const { required } = schema.parse(await response.json()).CheckpointLoaderSimple.input;
  const listSchema = z.union([
    z.tuple([z.array(z.string())]).rest(z.unknown()),
    z.tuple([z.literal("COMBO"), z.looseObject({ options: z.array(z.string()) })]),
  ]);
  const list = listSchema.parse(required["ckpt_name"]);
  const [first] = list[0] === "COMBO" ? list[1].options : list[0];
  if (first === undefined) throw new Error("The simulator has no checkpoint.");
  return first;
}

interface Measured {
  /** From the request to the last byte of the 202. */
  answerMs: number;
  /** From the request to the last ticket in Redis. */
  ticketsMs: number;
  /** The longest time for which the API's event loop was held up, and that of a process that does nothing. */
  stallMs: number;
  idleStallMs: number;
  /** The peak of the API's memory above what it was before. */
  grownMb: number;
}

/** Posts one batch, and watches the API meanwhile. */
async function accept(
  api: ServiceProcess,
  database: pg.Client,
  body: string,
): Promise<Measured & { id: string }> {
  const url = String(api.details["url"]);
  const idle = await startIdleProcess();
  await readStall(url);
  const before = await memoryOf(api.pid, "VmRSS");
  await resetPeak(api.pid);
  const startedAt = performance.now();
  const response = await fetch(`${url}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const text = await response.text();
  const answerMs = performance.now() - startedAt;
  if (response.status !== 202) throw new Error(`${response.status} ${text.slice(0, 2_000)}`);
  const { id } = z.object({ id: z.string() }).parse(JSON.parse(text));
  for (let left = 1; left > 0;) {
    await sleep(10);
    const sql = "SELECT count(*)::int AS left FROM jobs WHERE batch_id = $1 AND enqueued_at IS NULL";
    left = (await database.query<{ left: number }>(sql, [id])).rows[0]?.left ?? 0;
  }
  const ticketsMs = performance.now() - startedAt;
  const stallMs = await readStall(url);
  const grownMb = (await memoryOf(api.pid, "VmHWM")) - before;
  return { id, answerMs, ticketsMs, stallMs, idleStallMs: await idle.stop(), grownMb };
}

/** The longest delay of the API's event loop since the last time it was asked (prom-client's default metric). */
async function readStall(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return 1_000 * Number(/^nodejs_eventloop_lag_max_seconds\S* (\S+)/m.exec(text)?.[1]);
}

/** A Node process without work, whose event loop is delayed by this machine alone. */
async function startIdleProcess(): Promise<{ stop: () => Promise<number> }> {
  const program = `
    const delay = require("node:perf_hooks").monitorEventLoopDelay();
    delay.enable();
    process.send("ready");
    process.on("message", () => { process.send(delay.max / 1e6); process.disconnect(); });`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await once(child, "message");
  return {
    stop: async () => {
      child.send("stop");
      const [stallMs] = z
        .tuple([z.number()])
        .rest(z.unknown())
        .parse(await once(child, "message"));
      return stallMs;
    },
  };
}

/** In MB. Linux counts the peak since the last reset (`proc(5)`: /proc/PID/status, clear_refs). */
async function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s*(\\d+) kB`).exec(status)?.[1]) / 1024;
}

async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

const tables = ["workflows", "jobs", "job_parameters", "job_events"] as const;

/** The rows of a batch, as JSON texts of `bareRowsAtOnce` rows each. */
async function readRows(database: pg.Client, batchId: string): Promise<Map<string, string[]>> {
  const ofBatch = "SELECT id FROM jobs WHERE batch_id = $1";
  const conditions = {
    workflows: `hash IN (SELECT workflow_hash FROM job_parameters WHERE job_id IN (${ofBatch}))`,
    jobs: "batch_id = $1",
    job_parameters: `job_id IN (${ofBatch})`,
    job_events: `job_id IN (${ofBatch})`,
  };
  const all = new Map<string, string[]>();
  for (const table of tables) {
    const { rows } = await database.query<{ rows: string }>(
      `SELECT jsonb_agg(to_jsonb(row) - 'number')::text AS rows
       FROM (SELECT *, row_number() OVER () AS number FROM ${table} WHERE ${conditions[table]}) AS row
       GROUP BY (number - 1) / ${bareRowsAtOnce}`,
      [batchId],
    );
    all.set(
      table,
      rows.map((part) => part.rows),
    );
  }
  return all;
}

/** A second database of the same schema, with the tenant and the batch that the rows belong to. */
async function openBareDatabase(databaseUrl: string, from: pg.Client): Promise<pg.Client> {
  await from.query("CREATE DATABASE bare");
  const url = new URL(databaseUrl);
  url.pathname = "/bare";
  await migrate({ databaseUrl: url.href });
  const bare = new pg.Client({ connectionString: url.href });
  await bare.connect();
  await bare.query("DELETE FROM tenants");
  await copyRows(from, bare, "tenants", "true");
  return bare;
}

async function copyRows(from: pg.Client, to: pg.Client, table: string, condition: string): Promise<void> {
  const { rows } = await from.query<{ rows: string }>(
    `SELECT jsonb_agg(to_jsonb(row))::text AS rows FROM ${table} AS row WHERE ${condition}`,
  );
  await insertRows(to, table, rows[0]?.rows ?? "[]");
}

async function insertRows(database: pg.Client, table: string, rows: string): Promise<void> {
  await database.query(`INSERT INTO ${table} SELECT * FROM jsonb_populate_recordset(null::${table}, $1)`, [
    rows,
  ]);
}

/** The bare INSERT: all rows of the batch in one transaction. @returns how long it took, in ms */
async function insertBare(bare: pg.Client, rows: Map<string, string[]>): Promise<number> {
  const startedAt = performance.now();
  await bare.query("BEGIN");
  for (const table of tables) for (const part of rows.get(table) ?? []) await insertRows(bare, table, part);
  await bare.query("COMMIT");
  return performance.now() - startedAt;
}

/** A bare `addBulk` of as many tickets. @returns how long it took, in ms */
async function addBare(redisUrl: string, round: string): Promise<number> {
  const { hostname: host, port, password } = new URL(redisUrl);
  const connection = { host, port: Number(port), ...(password !== "" && { password }) };
  const queue = new Queue(`bare-${round}`, { connection });
  await queue.waitUntilReady();
  const tickets = Array.from({ length: total }, (_, index) => ({
    name: "image",
    data: { jobId: crypto.randomUUID(), attempt: 0 },
    opts: { jobId: `ticket-${index}-0`, priority: 524_288 + index },
  }));
  const startedAt = performance.now();
  await queue.addBulk(tickets);
  const wallMs = performance.now() - startedAt;
  await queue.obliterate({ force: true });
  await queue.close();
  return wallMs;
}

interface Round extends Measured {
  insertMs: number;
  addMs: number;
}

function median(rows: Round[], figure: (row: Round) => number): number {
  const sorted = rows.map(figure).toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function print(kind: string, rows: Round[]): void {
  const of = (figure: (row: Round) => number, digits = 0): string => median(rows, figure).toFixed(digits);
  console.log(`\n${total} jobs by ${kind} in one request (medians of ${rows.length} rounds)`);
  console.log(`  to the 202:            ${of((row) => row.answerMs)} ms`);
  console.log(`  to the last ticket:    ${of((row) => row.ticketsMs)} ms`);
  console.log(`  I, the bare INSERT:    ${of((row) => row.insertMs)} ms`);
  console.log(`  B, the bare addBulk:   ${of((row) => row.addMs)} ms`);
  console.log(`  202 ÷ I:               ${of((row) => row.answerMs / row.insertMs, 2)}   (reach: 3)`);
  console.log(
    `  tickets ÷ (3·I+1.5·B): ${of((row) => row.ticketsMs / (3 * row.insertMs + 1.5 * row.addMs), 2)}   (reach: 1)`,
  );
  console.log(
    `  longest stall:         ${of((row) => row.stallMs)} ms   (reach: 50; idle process: ${of((row) => row.idleStallMs)} ms)`,
  );
  console.log(`  memory at its peak:    + ${of((row) => row.grownMb)} MB   (reach: 100)`);
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "genga-bench-"));
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  const { databaseUrl, redisUrl } = services;
  const running: ServiceProcess[] = [];
  const database = new pg.Client({ connectionString: databaseUrl });
  let bare: pg.Client | undefined;
  try {
    await migrate({ databaseUrl });
    await database.connect();
    const simulator = await startServiceProcess({
      entry: "packages/comfyui-simulator/src/main.ts",
      args: ["--port", "0", "--data-dir", join(folder, "comfyui")],
      env: {},
      readyLine: /simulator listening on (?<url>\S+)/,
    });
    running.push(simulator);
    const simulatorUrl = String(simulator.details["url"]);
    checkpoint = await firstCheckpoint(simulatorUrl);
    const env = {
      ...{ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, COMFYUI_URLS: simulatorUrl, DATA_DIR: folder },
      ...{ PORT: "0", LOG_LEVEL: "warn" },
    };
    await readDefinitions(database, env);
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    running.push(api);
    bare = await openBareDatabase(databaseUrl, database);
    for (const [kind, jobOf] of Object.entries(kinds)) {
      const rows: Round[] = [];
      // The first round warms up both sides, and is not counted.
      for (let round = 0; round <= rounds; round += 1) {
        const jobs = Array.from({ length: total }, (_, index) => jobOf(round, index));
        const { id, ...measured } = await accept(api, database, JSON.stringify({ jobs }));
        await copyRows(database, bare, "batches", `id = '${id}'`);
        const insertMs = await insertBare(bare, await readRows(database, id));
        const addMs = await addBare(redisUrl, `${kind}-${round}`);
        if (round > 0) rows.push({ ...measured, insertMs, addMs });
      }
      print(kind, rows);
    }
  } finally {
    await bare?.end();
    await database.end();
    for (const service of running) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Lets a worker read what the server can run, and ends it: no job is run here. */
async function readDefinitions(database: pg.Client, env: Record<string, string>): Promise<void> {
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  for (let known = 0; known === 0;) {
    await sleep(50);
    const sql = "SELECT count(*)::int AS known FROM servers WHERE definitions_hash IS NOT NULL";
    known = (await database.query<{ known: number }>(sql)).rows[0]?.known ?? 0;
  }
  await worker.stop();
}

await main();
