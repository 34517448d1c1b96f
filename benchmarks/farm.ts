/**
 * What servers cost that have nothing to do: heartbeats, health checks, looks for jobs to adopt, node definitions. Paced
 * servers, each with an `/object_info` of 4 MB, over four workers on one PostgreSQL and one Redis: from the start until all
 * servers take work, with the least time that any server's lease had left meanwhile; then statements and processor time at
 * rest. The same with a quarter of the servers: what each further server costs is the difference.
 *
 * npm run bench:farm [-- --servers 200 --workers 4 --object-info-bytes 4000000 --seconds 20]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { startServiceProcess } from "@genga/testing";
import pg from "pg";
import { z } from "zod";
import { startPacedServers } from "./support/paced-servers.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { countStatementsOf, linesOf } from "./support/role-statements.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { startCountingServices } from "./support/statement-services.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const options = z.object({
  servers: count.default(200),
  workers: count.default(4),
  objectInfoBytes: count.default(4_000_000),
  seconds: count.default(20),
});

interface FarmMeasured {
  servers: number;
  readyMs: number;
  leaseLeftMinMs: number;
  definitionsStored: number;
  /** Of all workers, for each second at rest. */
  statements: number;
  /** In percent of a core, by part. */
  shares: Map<string, number>;
}

export async function run(asked: z.infer<typeof options>): Promise<Row[]> {
  const few = await measureFarm({ ...asked, servers: Math.ceil(asked.servers / 4) });
  const all = await measureFarm(asked);
  const bench = "farm";
  const added = all.servers - few.servers;
  const each = (of: (measured: FarmMeasured) => number): number => (of(all) - of(few)) / added;
  const share =
    (part: string) =>
    ({ shares }: FarmMeasured): number =>
      shares.get(part) ?? 0;
  const at = (figure: string): string => `${figure}, ${all.servers} servers over ${asked.workers} workers`;
  return [
    { bench, figure: at("start to all ready"), value: all.readyMs / 1_000, unit: "s" },
    {
      ...{ bench, figure: at("least time left of a lease"), value: all.leaseLeftMinMs / 1_000, unit: "s" },
      ...{ reach: { atLeast: 4 }, note: "a lease has 12 s and is renewed every 4 s" },
    },
    { bench, figure: at("sets of definitions stored"), value: all.definitionsStored, unit: "" },
    { bench, figure: at("statements at rest"), value: all.statements, unit: "/s" },
    { bench, figure: "statements for each further server", value: each((one) => one.statements), unit: "/s" },
    ...["workers", "postgres", "valkey-server"].flatMap((part) => [
      { bench, figure: at(`${part} at rest`), value: share(part)(all), unit: "% of a core" },
      { bench, figure: `${part} for each further server`, value: each(share(part)), unit: "% of a core" },
    ]),
    { bench, figure: "the paced servers' own cost", value: share("paced servers")(all), unit: "% of a core" },
  ];
}

async function measureFarm(asked: z.infer<typeof options>): Promise<FarmMeasured> {
  const { servers, workers, objectInfoBytes, seconds } = asked;
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startCountingServices(folder);
    closings.unshift(() => services.stop());
    const role = await countStatementsOf(services.databaseUrl, "bench_workers");
    closings.unshift(() => role.close());
    const paced = await startPacedServers({
      ...{ servers, ticksPerSecond: 10, stepsMax: 1, objectInfoBytes, epoch: Date.now() },
    });
    closings.unshift(() => paced.stop());
    const client = new pg.Client({ connectionString: services.databaseUrl });
    await client.connect();
    closings.unshift(() => client.end());
    const env = {
      ...{ DATABASE_URL: role.databaseUrl, REDIS_URL: services.redisUrl, COMFYUI_URLS: paced.urls.join() },
      ...{ DATA_DIR: folder, WORKER_PORT: "0", LOG_LEVEL: "warn" },
    };
    const started = await Promise.all(
      Array.from({ length: workers }, () => startServiceProcess({ entry: "apps/worker/src/main.ts", env })),
    );
    closings.unshift(() => Promise.all(started.map((worker) => worker.stop())));
    const start = await watchStart(client, servers);
    // What begins once, and hand-overs between the workers, are not rest.
    await sleep(5_000);
    const parts = new Map([
      ...started.map(({ pid }) => [pid, "workers"] as const),
      [paced.pid, "paced servers"],
    ]);
    // PostgreSQL and Redis descend from this process, and are named by their programs.
    parts.set(process.pid, "benchmark");
    const programs = ["postgres", "valkey-server"];
    await role.reset();
    const [before, at] = [await processorMsOf(parts, programs), performance.now()];
    await sleep(seconds * 1_000);
    const wallSeconds = (performance.now() - at) / 1_000;
    const [statements, times] = [await role.read(), await processorMsOf(parts, programs)];
    console.log(`${servers} servers at rest, by all workers:`);
    for (const line of linesOf(statements, wallSeconds)) console.log(line);
    return {
      ...{ servers, ...start },
      statements: statements.reduce((sum, { calls }) => sum + calls, 0) / wallSeconds,
      shares: new Map(
        [...times].map(([part, ms]) => [part, (ms - (before.get(part) ?? 0)) / wallSeconds / 10]),
      ),
    };
  } finally {
    for (const close of closings) await close();
  }
}

const leasesSchema = z.object({
  online: z.coerce.number(),
  leftMs: z.coerce.number().nullable(),
  stored: z.coerce.number(),
});

/** Looks until all servers take work: each is read and parsed, or found to be known. */
async function watchStart(
  client: pg.Client,
  servers: number,
): Promise<Pick<FarmMeasured, "readyMs" | "leaseLeftMinMs" | "definitionsStored">> {
  const startedAt = performance.now();
  let leaseLeftMinMs = Number.POSITIVE_INFINITY;
  for (;;) {
    const { rows } = await client.query(
      `SELECT count(*) FILTER (WHERE state = 'online' AND definitions_hash IS NOT NULL) AS online,
         extract(epoch FROM min(lease_expires_at) - clock_timestamp()) * 1000 AS "leftMs",
         (SELECT count(*) FROM node_definitions) AS stored
       FROM servers WHERE lease_owner IS NOT NULL`,
    );
    const { online, leftMs, stored } = leasesSchema.parse(rows[0]);
    if (leftMs !== null) leaseLeftMinMs = Math.min(leaseLeftMinMs, leftMs);
    if (online === servers)
      return { readyMs: performance.now() - startedAt, leaseLeftMinMs, definitionsStored: stored };
    if (performance.now() - startedAt > startMaxMs) throw new Error(`only ${online} of ${servers} took work`);
    await sleep(100);
  }
}
const startMaxMs = 180_000;

await runBenchmark(options, run);
