import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, startEmbeddedServices } from "@genga/embedded";
import { stopDeadlineMs, type ApiKey, type Configuration } from "@genga/runtime";
import { launcher } from "./launcher.ts";
import { findOwnKey } from "./own-key.ts";
import { ownSecretsKey } from "./own-secrets-key.ts";
import { requireFreePort } from "./port-in-use.ts";
import { ServiceLog } from "./service-log.ts";
import { SupervisedProcess } from "./supervised-process.ts";

export interface EverythingOptions {
  readonly configuration: Configuration;
  /** The environment for every process; the settings that are made here override it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly workers: number;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface Everything {
  /** Where the API answers, without a trailing slash. */
  readonly apiUrl: string;
  /** The API key for the owner's requests; undefined if the API asks for none. */
  readonly apiKey: string | undefined;
  readonly comfyuiUrls: readonly string[];
  readonly logFolder: string;
  /** Stops all parts in this order: workers, API, simulator, Redis, Postgres. */
  stop(): Promise<void>;
}

/**
 * Starts all parts of Genga on this machine, each as a process of its own: Postgres and Redis unless they are given,
 * the migrations, the simulator unless ComfyUI servers are given, the API, and the workers.
 */
export async function startEverything(options: EverythingOptions): Promise<Everything> {
  const { configuration, report, signal } = options;
  await requireFreePort(configuration.host, configuration.port);
  const logFolder = join(configuration.dataDir, "logs");
  const started: { stop(withinMs: number): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    const deadlineMs = performance.now() + stopDeadlineMs;
    for (let last = started.pop(); last !== undefined; last = started.pop()) {
      await last.stop(Math.max(500, deadlineMs - performance.now()));
    }
  };
  const run = async (
    name: string,
    entry: string,
    env: Record<string, string | undefined>,
  ): Promise<Record<string, string | number>> => {
    const log = new ServiceLog(logFolder, name, report);
    const child = new SupervisedProcess({
      name,
      entry,
      env: { ...options.env, ...env },
      report,
      onLine: (line, isStarting) => {
        log.add(line, isStarting);
      },
    });
    started.push(child);
    return child.start(signal);
  };

  try {
    const services = await startEmbeddedServices({ ...configuration, report, signal });
    started.push(services);
    const env: Record<string, string | undefined> = {
      DATABASE_URL: services.databaseUrl,
      REDIS_URL: services.redisUrl,
      DATA_DIR: configuration.dataDir,
      ...(configuration.secretsKeys.length === 0 && { SECRETS_KEY: ownSecretsKey(configuration.dataDir) }),
      NODE_ENV: "production",
    };
    await migrate({ ...options.env, ...env }, report, signal);

    const comfyuiUrls = configuration.comfyuiServers.map(({ identity }) => identity);
    if (comfyuiUrls.length === 0) {
      const port = await simulatorPort(configuration.dataDir);
      const details = await run("simulator", entries.simulator, { ...env, SIMULATOR_PORT: String(port) });
      const url = String(details["url"]);
      comfyuiUrls.push(configuration.serverName === undefined ? url : `${url}#${configuration.serverName}`);
      env["COMFYUI_URLS"] = url;
    }

    const own = await findOwnKey({ configured: configuration.apiKeys, databaseUrl: services.databaseUrl });
    const api = await run("api", entries.api, {
      ...env,
      ...(own?.isForThisRun === true && { API_KEYS: withKey(options.env["API_KEYS"], own.key) }),
    });
    for (let number = 1; number <= options.workers; number += 1) {
      const name = options.workers === 1 ? "worker" : `worker-${number}`;
      await run(name, entries.worker, env);
    }
    const fallbackUrl = `http://${configuration.host}:${configuration.port}`;
    const apiUrl = String(api["url"] ?? fallbackUrl).replace(/\/$/, "");
    return { apiUrl, apiKey: own?.key.key, comfyuiUrls, logFolder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const entries = {
  migrate: "packages/database/src/migrations/migrate-main.ts",
  simulator: "apps/standalone/src/services/simulator-main.ts",
  api: "apps/api/src/main.ts",
  worker: "apps/worker/src/main.ts",
};

/** API_KEYS with one more key. */
function withKey(apiKeys: string | undefined, { tenant, role, key }: ApiKey): string {
  return [...(apiKeys === undefined || apiKeys === "" ? [] : [apiKeys]), `${tenant}:${role}:${key}`].join(
    ",",
  );
}

/**
 * The port of the last start if it is free. Genga knows a server by its URL, so with the same port the simulator stays
 * the same server.
 */
async function simulatorPort(dataDir: string): Promise<number> {
  const file = join(dataDir, "simulator-port");
  const last = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  const port = await freePort(Number.isInteger(last) && last > 0 && last < 65_536 ? last : undefined);
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(file, String(port));
  return port;
}

/** Applies the missing migrations; the output is shown only if that fails. */
async function migrate(
  env: Readonly<Record<string, string | undefined>>,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const child = spawn(process.execPath, [launcher, entries.migrate], {
    env,
    signal,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`the migrations failed:\n${Buffer.concat(said).toString()}`);
  report(`migrations are applied ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
