import { chownSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import pRetry from "p-retry";
import pg from "pg";
import { cacheFolder } from "../process/cache-folder.ts";
import { type EmbeddedServer, type EmbeddedServerOptions } from "../process/embedded-server.ts";
import { EmbeddedServiceError } from "../process/embedded-service-error.ts";
import { postgresAccount, type Account } from "./postgres-account.ts";
import { copiesFolder, makePrivateFolder, postgresFolder } from "./postgres-folder.ts";
import { postgresPrograms, type PostgresPrograms } from "./postgres-programs.ts";
import { commandOf, isAlive } from "../process/process-identity.ts";
import { runCommand } from "../process/run-command.ts";
import { endForeignProcess, startServerProcess } from "../process/server-process.ts";
import { readSettings, writeSettings, type Settings } from "../process/settings-file.ts";
import { startOnFreePort } from "../process/start-on-free-port.ts";

const userName = "genga";
const databaseName = "genga";

/**
 * Starts a real Postgres on this machine with a database `genga` in it, whose data survives restarts, even after a kill
 * -9 of all processes. Durability is Postgres's own: fsync and synchronous_commit stay on.
 *
 * @throws EmbeddedServiceError
 */
export async function startEmbeddedPostgres(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const began = performance.now();
  const report = options.report ?? (() => undefined);
  const account = postgresAccount();
  const home = postgresFolder(options.dataDir, account, report);
  const programs = await postgresPrograms({
    account,
    copiesFolder: copiesFolder(account, cacheFolder([homedir(), options.dataDir])),
    report,
    signal: options.signal,
  });
  const cluster = join(home, "cluster");
  const settingsPath = join(home, "settings.json");
  const settings = readSettings(settingsPath);
  if (existsSync(cluster)) {
    await endLeftBehind(cluster, report);
  } else {
    report(`postgres ${programs.version}: preparing a new database in ${home}`);
    writeSettings(settingsPath, settings);
    await createCluster({ home, cluster, programs, account, settings, signal: options.signal });
  }

  const server = await startOnFreePort({ fixed: options.port, wished: settings.port }, (port) =>
    startAfterPredecessor(() => startCluster({ cluster, port, programs, account, settings, options })),
  );
  writeSettings(settingsPath, { ...settings, port: server.port });
  report(
    `postgres ${programs.version} ready on 127.0.0.1:${server.port} (data in ${home}) ${secondsSince(began)}`,
  );
  return { ...server, name: "postgres", version: programs.version, dataFolder: home };
}

/** The URL of a database of the embedded Postgres on this machine. */
export function databaseUrlOf(
  { port, password }: { port: number; password: string },
  database = databaseName,
): string {
  return `postgresql://${userName}:${password}@127.0.0.1:${port}/${database}`;
}

interface Cluster {
  readonly cluster: string;
  readonly programs: PostgresPrograms;
  readonly account: Account;
  readonly settings: Settings;
}

/**
 * Creates the data folder under another name first, so that a start that is killed half-way leaves no folder that looks
 * complete.
 */
async function createCluster(
  context: Cluster & { readonly home: string; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { home, cluster, programs, account, settings } = context;
  for (const name of readdirSync(home)) {
    if (name.startsWith("cluster.new"))
      rmSync(join(home, name), { recursive: true, force: true, maxRetries: 10 });
  }
  const draft = join(home, `cluster.new-${process.pid}`);
  makePrivateFolder(draft, account);
  const passwordFile = join(home, "cluster.new-password");
  writeFileSync(passwordFile, `${settings.password}\n`, { mode: 0o600 });
  if (account.uid !== undefined && account.gid !== undefined)
    chownSync(passwordFile, account.uid, account.gid);
  const kind = [
    "--encoding=UTF8",
    "--locale=C",
    "--auth=scram-sha-256",
    "--data-checksums",
    "--no-instructions",
  ];
  const result = await runCommand(
    programs.initdb,
    ["-D", draft, "-U", userName, `--pwfile=${passwordFile}`, ...kind],
    { ...account, cwd: draft, env: { LC_ALL: "C" }, timeoutMs: 120_000, signal: context.signal },
  );
  rmSync(passwordFile, { force: true });
  if (!result.succeeded) {
    throw new EmbeddedServiceError("START_FAILED", `initdb failed in ${draft}:\n${result.complaint}`);
  }
  renameSync(draft, cluster);
}

async function startCluster(
  context: Cluster & { readonly port: number; readonly options: EmbeddedServerOptions },
): Promise<Pick<EmbeddedServer, "url" | "port" | "pid" | "ended" | "stop">> {
  const { cluster, port, programs, account, settings, options } = context;
  const choices = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    shared_buffers: "128MB",
    fsync: "on",
    synchronous_commit: "on",
  };
  const server = await startServerProcess({
    name: "postgres",
    program: programs.postgres,
    args: [
      ...["-D", cluster, "-p", String(port)],
      ...Object.entries(choices).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    cwd: cluster,
    ...account,
    readyText: "database system is ready to accept connections",
    stopSignal: "SIGINT", // "fast": ends open connections, writes everything
    onLine: options.onLine ?? (() => undefined),
    signal: options.signal,
  });
  const address = { port, password: settings.password };
  try {
    await ensureDatabase(databaseUrlOf(address, "postgres"));
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { ...server, url: databaseUrlOf(address), port };
}

async function ensureDatabase(adminUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [databaseName]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${databaseName}`);
  } finally {
    await client.end();
  }
}

/**
 * Ends a Postgres that a killed parent left behind in this folder. Its `postmaster.pid` names the process. Another
 * process that was given the same pid since is not touched.
 */
async function endLeftBehind(cluster: string, report: (line: string) => void): Promise<void> {
  const file = join(cluster, "postmaster.pid");
  if (!existsSync(file)) return;
  const [pidLine = "", ...rest] = readFileSync(file, "utf8").split("\n");
  const pid = Number(pidLine);
  if (!Number.isInteger(pid) || pid <= 1) return; // Postgres reports this fault itself
  const command = commandOf(pid);
  if (isAlive(pid) && (command === undefined || command.includes(cluster))) {
    report(`postgres: stopping process ${pid}, which an earlier start left behind`);
    await endForeignProcess(pid, ["SIGINT", "SIGQUIT"]);
  }
  if (!existsSync(file)) return;
  // The named process has ended or is not our Postgres. Yet any process with that pid, even a zombie, would keep
  // Postgres from starting. A file that names Postgres's own parent does not keep it from starting, and the file's
  // other lines still let Postgres find out whether processes of the old server are running.
  writeFileSync(file, [process.pid, ...rest].join("\n"));
}

/**
 * Starts the cluster, and tries again for a while: the last processes of an earlier Postgres may need a moment to
 * notice that it was killed.
 */
async function startAfterPredecessor<T>(start: () => Promise<T>): Promise<T> {
  return await pRetry(start, {
    retries: 19,
    minTimeout: 250,
    factor: 1,
    shouldRetry: ({ error }) =>
      error instanceof EmbeddedServiceError && error.message.includes("pre-existing shared memory"),
  });
}

function secondsSince(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}
