import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { migrate } from "@genga/database";
import { freePort, startEmbeddedServices } from "@genga/embedded";
import { stopDeadlineMs, type ApiKey, type Configuration } from "@genga/runtime";
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
  /** Where ComfyUI's own protocol is served. */
  readonly doorUrl: string;
  readonly comfyuiUrls: readonly string[];
  readonly logFolder: string;
  /** Stops all parts in this order: workers, API, simulator, Redis, Postgres. */
  stop(): Promise<void>;
}

/** What runs, by parts. They are stopped in this order. */
class RunningParts {
  readonly workers: Part[] = [];
  readonly api: Part[] = [];
  readonly simulator: Part[] = [];
  readonly services: Part[] = [];

  async stop(): Promise<void> {
    const deadlineMs = performance.now() + stopDeadlineMs;
    for (const parts of [this.workers, this.api, this.simulator, this.services]) {
      for (let last = parts.pop(); last !== undefined; last = parts.pop()) {
        await last.stop(Math.max(500, deadlineMs - performance.now()));
      }
    }
  }
}

interface Part {
  stop(withinMs: number): Promise<void>;
}

/**
 * Starts all parts of Genga on this machine: Postgres and Redis unless they are given, then the migrations and, unless ComfyUI
 * servers are given, the simulator, and then the API and the workers. Each is a process of its own, except for the
 * migrations. Those that do not need each other start at the same time.
 */
export async function startEverything(options: EverythingOptions): Promise<Everything> {
  const { configuration, report, signal } = options;
  await requireFreePort(configuration.host, configuration.port);
  const logFolder = join(configuration.dataDir, "logs");
  const running = new RunningParts();
  const run = async (
    place: Part[],
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
    place.push(child);
    return child.start(signal);
  };

  try {
    const services = await startEmbeddedServices({ ...configuration, report, signal });
    running.services.push(services);
    const env: Record<string, string | undefined> = {
      DATABASE_URL: services.databaseUrl,
      REDIS_URL: services.redisUrl,
      DATA_DIR: configuration.dataDir,
      ...(configuration.secretsKeys.length === 0 && { SECRETS_KEY: ownSecretsKey(configuration.dataDir) }),
      NODE_ENV: "production",
    };
    const comfyuiUrls = configuration.comfyuiServers.map(({ identity }) => identity);
    const startSimulator = async (): Promise<void> => {
      const port = String(await simulatorPort(configuration.dataDir));
      const simulator = { ...env, SIMULATOR_PORT: port };
      const details = await run(running.simulator, "simulator", entries.simulator, simulator);
      const url = String(details["url"]);
      comfyuiUrls.push(configuration.serverName === undefined ? url : `${url}#${configuration.serverName}`);
      env["COMFYUI_URLS"] = url;
    };
    await allOf([
      applyMigrations(services.databaseUrl, report, signal),
      ...(comfyuiUrls.length === 0 && configuration.serversFile === undefined ? [startSimulator()] : []),
    ]);

    const own = await findOwnKey({ configured: configuration.apiKeys, databaseUrl: services.databaseUrl });
    const doorPort =
      configuration.comfyuiDoorPort ?? (await freeDoorPort(configuration.dataDir, comfyuiUrls));
    const apiEnv = {
      ...env,
      COMFYUI_DOOR_PORT: String(doorPort),
      ...(own?.isForThisRun === true && { API_KEYS: withKey(options.env["API_KEYS"], own.key) }),
    };
    const workerNames = Array.from({ length: options.workers }, (_, index) =>
      options.workers === 1 ? "worker" : `worker-${index + 1}`,
    );
    const [api = {}] = await allOf([
      run(running.api, "api", entries.api, apiEnv),
      ...workerNames.map((name) => run(running.workers, name, entries.worker, env)),
    ]);
    const apiUrl = urlOf(api["url"], configuration);
    const doorUrl = urlOf(api["doorUrl"], { ...configuration, port: doorPort });
    return { apiUrl, apiKey: own?.key.key, doorUrl, comfyuiUrls, logFolder, stop: () => running.stop() };
  } catch (error) {
    await running.stop();
    throw error;
  }
}

/** Where a service said that it answers, without a slash at the end. */
function urlOf(said: string | number | undefined, { host, port }: { host: string; port: number }): string {
  return String(said ?? `http://${host}:${port}`).replace(/\/$/, "");
}

/** Waits until all have ended, also when one fails, so that nothing is still starting when the others are stopped. */
async function allOf<Result>(starts: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(starts);
  return Promise.all(starts);
}

const entries = {
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
  return await rememberedPort(join(dataDir, "simulator-port"), () => true);
}

/** The port of the last start if it is free, for clients that were told its URL; never that of a server, which may not run now. */
async function freeDoorPort(dataDir: string, comfyuiUrls: readonly string[]): Promise<number> {
  const taken = new Set(comfyuiUrls.map((url) => new URL(url).port));
  return await rememberedPort(join(dataDir, "door-port"), (port) => !taken.has(String(port)));
}

async function rememberedPort(file: string, mayBe: (port: number) => boolean): Promise<number> {
  const last = existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
  const isPort = Number.isInteger(last) && last > 0 && last < 65_536 && mayBe(last);
  let port = await freePort(isPort ? last : undefined);
  while (!mayBe(port)) port = await freePort();
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, String(port));
  return port;
}

/** Applies the missing migrations. */
async function applyMigrations(
  databaseUrl: string,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  await migrate({ databaseUrl, signal });
  report(`migrations are applied ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
