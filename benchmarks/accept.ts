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
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { Queue } from "bullmq";
import pg from "pg";
import { z } from "zod";
import { median } from "./support/median.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { firstCheckpoint, jobByGraph, jobByParameters, readDefinitions } from "./support/sample-jobs.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({ jobs: count.default(10_000), rounds: count.default(3) });

/** Rows of the bare INSERT that go in one statement: all of one statement's text must fit into memory twice. */
const bareRowsAtOnce = 2_000;

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
async function addBare(redisUrl: string, round: string, jobs: number): Promise<number> {
  const { hostname: host, port, password } = new URL(redisUrl);
  const connection = { host, port: Number(port), ...(password !== "" && { password }) };
  const queue = new Queue(`bare-${round}`, { connection });
  await queue.waitUntilReady();
  const tickets = Array.from({ length: jobs }, (_, index) => ({
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

/** The medians of the rounds of one kind of jobs. */
function rowsOf(kind: string, jobs: number, rounds: readonly Round[]): Row[] {
  const row = (figure: string, unit: string, of: (round: Round) => number): Row => ({
    ...{ bench: "accept, batch", figure: `${kind}: ${figure}`, value: median(rounds.map(of)), unit },
  });
  const note = `${jobs} jobs in one request, ${rounds.length} rounds`;
  const bound = ({ insertMs, addMs }: Round): number => 3 * insertMs + 1.5 * addMs;
  const idleMs = median(rounds.map((round) => round.idleStallMs)).toFixed(0);
  return [
    { ...row("202 ÷ I", "×", (round) => round.answerMs / round.insertMs), reach: { atMost: 3 }, note },
    {
      ...row("last ticket ÷ (3·I + 1.5·B)", "×", (round) => round.ticketsMs / bound(round)),
      reach: { atMost: 1 },
    },
    {
      ...row("worst stall of the API's event loop", "ms", (round) => round.stallMs),
      ...{ reach: { atMost: 50 }, note: `of a process that does nothing: ${idleMs} ms` },
    },
    {
      ...row("memory of the API at its peak, above before", "MB", (round) => round.grownMb),
      reach: { atMost: 100 },
    },
    row("to the 202", "ms", (round) => round.answerMs),
    row("to the last ticket", "ms", (round) => round.ticketsMs),
    row("I, the bare INSERT", "ms", (round) => round.insertMs),
    row("B, the bare addBulk", "ms", (round) => round.addMs),
  ];
}

export async function run({ jobs: total, rounds }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
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
    const checkpoint = await firstCheckpoint(simulatorUrl);
    const env = {
      ...{ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, COMFYUI_URLS: simulatorUrl, DATA_DIR: folder },
      ...{ PORT: "0", LOG_LEVEL: "warn" },
    };
    await readDefinitions(database, env);
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    running.push(api);
    bare = await openBareDatabase(databaseUrl, database);
    const kinds = {
      parameters: jobByParameters,
      graphs: (round: number, index: number) => jobByGraph(checkpoint, round, index),
    };
    const all: Row[] = [];
    for (const [kind, jobOf] of Object.entries(kinds)) {
      const measuredRounds: Round[] = [];
      // The first round warms up both sides, and is not counted.
      for (let round = 0; round <= rounds; round += 1) {
        const jobs = Array.from({ length: total }, (_, index) => jobOf(round, index));
        const { id, ...measured } = await accept(api, database, JSON.stringify({ jobs }));
        await copyRows(database, bare, "batches", `id = '${id}'`);
        const insertMs = await insertBare(bare, await readRows(database, id));
        const addMs = await addBare(redisUrl, `${kind}-${round}`, total);
        if (round > 0) measuredRounds.push({ ...measured, insertMs, addMs });
      }
      all.push(...rowsOf(kind, total, measuredRounds));
    }
    return all;
  } finally {
    await bare?.end();
    await database.end();
    for (const service of running) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
