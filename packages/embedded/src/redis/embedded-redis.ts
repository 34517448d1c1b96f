import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../process/cache-folder.ts";
import { type EmbeddedServer, type EmbeddedServerOptions } from "../process/embedded-server.ts";
import { commandOf, isAlive } from "../process/process-identity.ts";
import { redisProgram, type RedisProgram } from "./redis-program.ts";
import { endForeignProcess, startServerProcess } from "../process/server-process.ts";
import { readSettings, writeSettings, type Settings } from "../process/settings-file.ts";
import { startOnFreePort } from "../process/start-on-free-port.ts";

/**
 * Starts a real Redis (or Valkey) on this machine: append-only file, nothing evicted, on the loopback address behind a
 * password. Its data survives a kill -9, except that of the last second.
 *
 * @throws EmbeddedServiceError
 */
export async function startEmbeddedRedis(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const began = performance.now();
  const report = options.report ?? (() => undefined);
  const program = await redisProgram({
    cacheFolder: cacheFolder([homedir(), options.dataDir]),
    report,
    signal: options.signal,
  });
  const home = join(options.dataDir, "redis");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const settingsPath = join(home, "settings.json");
  const settings = readSettings(settingsPath);
  await endLeftBehind(home, settings, report);

  const server = await startOnFreePort({ fixed: options.port, wished: settings.port }, async (port) => {
    // Written before the start: if this process is killed, the next start finds the left-over server by this port.
    writeSettings(settingsPath, { ...settings, port });
    return startOnPort({ port, home, program, settings, options });
  });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  report(
    `${program.name} ${program.version} ready on 127.0.0.1:${server.port} (data in ${home}) ${seconds} s`,
  );
  return { ...server, name: program.name, version: program.version, dataFolder: home };
}

interface Start {
  readonly port: number;
  readonly home: string;
  readonly program: RedisProgram;
  readonly settings: Settings;
  readonly options: EmbeddedServerOptions;
}

async function startOnPort(
  start: Start,
): Promise<Pick<EmbeddedServer, "url" | "port" | "pid" | "ended" | "stop">> {
  const { port, home, program, settings, options } = start;
  const configurationPath = join(home, "redis.conf");
  // The settings are in a file and not in the arguments, because the password is among them, and every user can read
  // arguments.
  writeFileSync(configurationPath, configurationText(port, home, settings), { mode: 0o600 });
  const server = await startServerProcess({
    name: program.name,
    program: program.path,
    args: [configurationPath],
    cwd: home,
    readyText: "Ready to accept connections",
    stopSignal: "SIGTERM",
    onLine: options.onLine ?? (() => undefined),
    signal: options.signal,
  });
  return { ...server, url: `redis://:${settings.password}@127.0.0.1:${port}`, port };
}

function configurationText(port: number, home: string, settings: Settings): string {
  const quoted = (path: string): string => `"${path.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  return [
    "bind 127.0.0.1",
    `port ${port}`,
    `requirepass ${settings.password}`,
    `dir ${quoted(home)}`,
    `pidfile ${quoted(join(home, "redis.pid"))}`,
    "appendonly yes",
    "appendfsync everysec",
    'save ""',
    "maxmemory-policy noeviction",
    "daemonize no",
    "supervised no",
    "",
  ].join("\n");
}

/**
 * Ends a Redis that a killed parent left behind in this folder; another process that was given its pid is not touched.
 */
async function endLeftBehind(
  home: string,
  settings: Settings,
  report: (line: string) => void,
): Promise<void> {
  const file = join(home, "redis.pid");
  if (!existsSync(file) || settings.port === undefined) return;
  const pid = Number(readFileSync(file, "utf8"));
  if (!Number.isInteger(pid) || pid <= 1 || !isAlive(pid)) return;
  // In its command line the server shows "redis-server 127.0.0.1:6379", or with the path of its configuration.
  const command = commandOf(pid) ?? "";
  if (!command.includes(`:${settings.port}`) && !command.includes(home)) return;
  report(`redis: stopping process ${pid}, which an earlier start left behind`);
  await endForeignProcess(pid, ["SIGTERM", "SIGKILL"]);
}
