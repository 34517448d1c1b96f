import { spawn } from "node:child_process";
import { once } from "node:events";
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
 * Runs a program without a shell.
 * @param options.env its environment
 * @param options.signal ends it early, as its time limit does
 */
export async function runHook(
  [program = "", ...args]: readonly string[],
  options: { env: Readonly<Record<string, string | undefined>>; timeoutMs: number; signal: AbortSignal },
): Promise<HookEnd> {
  const { env, timeoutMs, signal } = options;
  // In a process group of its own, so that what it has started ends with it.
  const child = spawn(program, args, {
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data: Buffer) => {
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
    const closed = once(child, "close").catch(() => undefined);
    const how = await new Promise<number | string>((resolve) => {
      child.once("error", (error) => {
        resolve(error.message);
      });
      child.once("exit", (code, by) => {
        resolve(code ?? String(by));
      });
    });
    // A program that it left running may hold its output open, so its end is not awaited for long.
    await pTimeout(closed, { milliseconds: lastOutputMs, fallback: () => undefined });
    const said = output.trim() === "" ? "" : ` Its last output: ${output.trim()}`;
    const [why] = reasons;
    if (why !== undefined) return { succeeded: false, message: `The hook was ended: ${why}.${said}` };
    return { succeeded: how === 0, message: `The hook ended with ${how}.${said}` };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function kill(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}
