import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import pTimeout from "p-timeout";
import { EmbeddedServiceError } from "./embedded-service-error.ts";
import { isAlive } from "./process-identity.ts";
import { systemErrorCode } from "./system-error-code.ts";

export interface ServerProgram {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
  /** A line of the server's output with this text means that it accepts connections. */
  readonly readyText: string;
  /** The signal that makes the server stop cleanly. */
  readonly stopSignal: NodeJS.Signals;
  readonly onLine: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface ServerProcess {
  readonly pid: number;
  /** Resolves when the process has ended, with a text such as "exit code 1" or "SIGKILL". */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

const startTimeoutMs = 120_000; // a database may have to recover first, which can take long
const stopTimeoutMs = 10_000;
const linesKept = 30;

/**
 * Starts a server as a child process and waits until it accepts connections. The server has a process group of its own,
 * so that Ctrl-C in a terminal does not end it before the processes that use it. If this process is killed, the server
 * ends too.
 *
 * @throws EmbeddedServiceError START_FAILED with the last lines of the server's output
 */
export async function startServerProcess(server: ServerProgram): Promise<ServerProcess> {
  const child = spawn(server.program, server.args, {
    cwd: server.cwd,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    // The server does not inherit this process's environment: PGDATA and similar variables, meant for another Postgres,
    // would change its behaviour.
    env: { LC_ALL: "C" },
    ...(server.uid !== undefined && { uid: server.uid }),
    ...(server.gid !== undefined && { gid: server.gid }),
  });
  const { pid } = child;
  if (pid === undefined) {
    const [error] = (await once(child, "error")) as [Error];
    const message = `${server.name} cannot be run (${server.program}): ${error.message}`;
    throw new EmbeddedServiceError("PROGRAM_UNAVAILABLE", message, { cause: error });
  }
  const endGuard = endWithThisProcess(pid, server.stopSignal);
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      endGuard();
      resolve(signal ?? `exit code ${code ?? "unknown"}`);
    });
  });
  const running: ServerProcess = { pid, ended, stop: () => stopProcess(pid, server.stopSignal, ended) };
  try {
    await untilReady(child, ended, server);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

/**
 * Ends a server that is not a child of this process, but was left behind by a process that was killed.
 * @throws EmbeddedServiceError START_FAILED if it is still there afterwards
 */
export async function endForeignProcess(pid: number, signals: readonly NodeJS.Signals[]): Promise<void> {
  for (const signal of signals) {
    try {
      process.kill(pid, signal);
    } catch {
      return; // the process has ended already
    }
    for (let waitedMs = 0; waitedMs < stopTimeoutMs; waitedMs += 20) {
      if (!isAlive(pid)) return;
      await delay(20);
    }
  }
  throw new EmbeddedServiceError("START_FAILED", `Process ${pid}, left by an earlier start, does not end.`);
}

async function untilReady(child: ChildProcess, ended: Promise<string>, server: ServerProgram): Promise<void> {
  const lastLines: string[] = [];
  const ready = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on("line", (line) => {
        lastLines.push(line);
        if (lastLines.length > linesKept) lastLines.shift();
        server.onLine(line);
        if (line.includes(server.readyText)) resolve();
      });
    }
  });
  const timers = new AbortController();
  const signals = server.signal ? [server.signal, timers.signal] : [timers.signal];
  const failed = async (): Promise<never> => {
    const reason = await Promise.race([
      ended,
      delay(startTimeoutMs, `not ready after ${startTimeoutMs / 1000} s`, {
        signal: AbortSignal.any(signals),
      }),
    ]);
    await new Promise(setImmediate); // its last output may still be in the pipe
    const words = lastLines.map((line) => `  ${line}`).join("\n");
    throw new EmbeddedServiceError("START_FAILED", `${server.name} did not start (${reason}):\n${words}`);
  };
  const failure = failed();
  failure.catch(() => undefined); // it also rejects when its timer is cancelled below
  try {
    await Promise.race([ready, failure]);
  } finally {
    timers.abort();
  }
}

async function stopProcess(pid: number, signal: NodeJS.Signals, ended: Promise<string>): Promise<void> {
  kill(pid, signal);
  const hasEnded = ended.then(() => true);
  const inTime = await pTimeout(hasEnded, { milliseconds: stopTimeoutMs, fallback: () => false });
  if (!inTime) kill(pid, "SIGKILL");
  await ended;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/**
 * Starts a guard process that stops the server when this process ends in any way, which the guard notices by the closed
 * pipe. Returns a function that ends the guard.
 */
function endWithThisProcess(pid: number, signal: NodeJS.Signals): () => void {
  const script = `cat >/dev/null; kill -${signal.replace("SIG", "")} ${pid}`;
  const guard = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  guard.on("error", () => undefined); // without a shell there is no guard; the next start then ends the server that was left behind
  guard.stdin.on("error", () => undefined);
  guard.unref();
  return () => {
    if (guard.pid === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
    kill(-guard.pid, "SIGKILL");
    guard.stdin.destroy();
  };
}
