import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Readable } from "node:stream";
import pTimeout from "p-timeout";

/** How a hook ended. */
export interface HookEnd {
  succeeded: boolean;
  /** For operators: its exit code, and the end of its output. */
  message: string;
}

const outputMax = 1_000;
/** After SIGTERM it gets so long to end. */
const endingMs = 5_000;
const lastOutputMs = 200;

/**
 * Runs a program without a shell. A program that cannot be started has failed; this function throws nothing.
 * @param options.env its environment
 * @param options.signal ends it early, as its time limit does
 */
export async function runHook(
  [program = "", ...args]: readonly string[],
  options: { env: Readonly<Record<string, string | undefined>>; timeoutMs: number; signal: AbortSignal },
): Promise<HookEnd> {
  const { env, timeoutMs, signal } = options;
  let child: ChildProcess;
  try {
    // In a process group of its own, so that what it has started ends with it.
    child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  } catch (error) {
    // Some problems are thrown (a path through a file, arguments that are too long), others are events.
    return { succeeded: false, message: notStarted(error) };
  }
  const how = new Promise<{ error: Error } | { exit: number | string }>((resolve) => {
    child.once("error", (error) => {
      resolve({ error });
    });
    child.once("exit", (code, by) => {
      resolve({ exit: code ?? String(by) });
    });
  });
  const closed = once(child, "close").catch(() => undefined);
  // Without a free file descriptor there are no streams.
  const streams: (Readable | null | undefined)[] = [child.stdout, child.stderr];
  let output = "";
  for (const stream of streams) {
    stream?.on("data", (data: Buffer) => {
      output = (output + data.toString("utf8")).slice(-outputMax);
    });
  }
  const reasons: string[] = [];
  const end = (why: string): void => {
    reasons.push(why);
    if (reasons.length > 1) return;
    kill(child.pid, "SIGTERM");
    setTimeout(() => {
      kill(child.pid, "SIGKILL");
    }, endingMs).unref();
  };
  const timer = setTimeout(() => {
    end(`it took longer than ${timeoutMs} ms`);
  }, timeoutMs);
  const onAbort = (): void => {
    end("its worker stopped, or lost the server");
  };
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    const ended = await how;
    if ("error" in ended) return { succeeded: false, message: notStarted(ended.error) };
    // A program that it left running may hold its output open, so its end is not awaited for long.
    await pTimeout(closed, { milliseconds: lastOutputMs, fallback: () => undefined });
    const said = output.trim() === "" ? "" : ` Its last output: ${output.trim()}`;
    const [why] = reasons;
    if (why !== undefined) return { succeeded: false, message: `The hook was ended: ${why}.${said}` };
    return { succeeded: ended.exit === 0, message: `The hook ended with ${ended.exit}.${said}` };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    for (const stream of streams) stream?.destroy();
  }
}

function notStarted(error: unknown): string {
  return `The hook could not be started: ${error instanceof Error ? error.message : String(error)}`;
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}
