import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A service of Genga that runs as a process of its own, as in production. */
export interface ServiceProcess {
  readonly pid: number;
  /** What it reported when it became ready, such as its URL. */
  readonly details: Readonly<Record<string, string | number>>;
  /** Its log, newest last; bounded. */
  readonly lines: readonly string[];
  /** Resolves with the exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  signal(signal: NodeJS.Signals): void;
  /** Sends SIGTERM and waits for the end of the process. */
  stop(): Promise<number | string>;
  /** Resolves with the first matching line of its log, past or future. */
  line(pattern: RegExp): Promise<string>;
}

const linesMax = 5_000;

/** The program that runs a TypeScript entry point: `node <launcher> <entry> [arguments]`. */
export const launcher = createRequire(import.meta.url).resolve("@genga/runtime/launch");

/**
 * Starts an entry point and waits until it reports over IPC that it is ready.
 * @param options.entry a TypeScript file, relative to the working directory, or to `checkout`
 * @param options.checkout the folder of another version, whose launcher runs its entry point
 * @throws Error with the end of its log when it ends before it is ready
 */
export async function startServiceProcess(options: {
  entry: string;
  env: Record<string, string>;
  args?: string[];
  checkout?: string;
  /** For a program without IPC: the line by which it reports that it is ready; the named groups are the details. */
  readyLine?: RegExp;
  /** A command that runs the program elsewhere, as a machine of a `TestNetwork` has one. */
  within?: readonly string[];
}): Promise<ServiceProcess> {
  const { checkout, within = [] } = options;
  const program =
    checkout === undefined ? launcher : join(checkout, "packages", "runtime", "src", "launch", "launch.mjs");
  const line = [...within, process.execPath, program, options.entry, ...(options.args ?? [])];
  const [command = "", ...args] = line;
  const child = spawn(command, args, {
    ...(checkout !== undefined && { cwd: checkout }),
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...options.env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const log = followLog(child);
  const exited = once(child, "exit").then(([code, signal]: unknown[]) => (code ?? signal) as number | string);
  const details = await Promise.race([
    options.readyLine === undefined
      ? readyDetails(child)
      : detailsOf(log.find(options.readyLine), options.readyLine),
    exited.then((end) => {
      throw new Error(
        `${options.entry} ended (${end}) before it was ready:\n${log.lines.slice(-30).join("\n")}`,
      );
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    details,
    lines: log.lines,
    exited,
    signal: (signal) => child.kill(signal),
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
    line: (pattern) => log.find(pattern),
  };
}

async function detailsOf(line: Promise<string>, pattern: RegExp): Promise<Record<string, string>> {
  return { ...pattern.exec(await line)?.groups };
}

function readyDetails(child: ChildProcess): Promise<Record<string, string | number>> {
  return new Promise((resolve) => {
    child.on("message", (message: { type?: string; details?: Record<string, string | number> }) => {
      if (message.type === "ready") resolve(message.details ?? {});
    });
  });
}

function followLog(child: ChildProcess): { lines: string[]; find: (pattern: RegExp) => Promise<string> } {
  const lines: string[] = [];
  const waiting = new Set<{ pattern: RegExp; resolve: (line: string) => void }>();
  const take = (line: string): void => {
    lines.push(line);
    if (lines.length > linesMax) lines.shift();
    for (const entry of waiting) {
      if (!entry.pattern.test(line)) continue;
      waiting.delete(entry);
      entry.resolve(line);
    }
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", take);
  }
  const find = (pattern: RegExp): Promise<string> => {
    const known = lines.find((line) => pattern.test(line));
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => waiting.add({ pattern, resolve }));
  };
  return { lines, find };
}
