import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { readyMessageSchema, type ReadyMessage } from "@genga/runtime";
import pTimeout from "p-timeout";
import { launcher } from "./launcher.ts";
import { forPeople } from "./service-log.ts";

export interface ProcessPlan {
  /** The name for people: `api`, `worker`, `simulator`. */
  readonly name: string;
  /** The TypeScript file to run; it calls `runService`. */
  readonly entry: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly report: (line: string) => void;
  /**
   * Receives every line that the process writes. During the first start (`isStarting`) the lines need not be shown,
   * because a failure repeats the last ones.
   */
  readonly onLine: (line: string, isStarting: boolean) => void;
}

const restartDelayMs = { first: 250, longest: 10_000 };
/** After a run of this length a process counts as healthy, and its next restart is quick again. */
const soundAfterMs = 30_000;

/**
 * One child process that is kept running: started, restarted with backoff when it ends without being asked, and stopped
 * in order. It has a process group of its own, so that Ctrl-C in the terminal does not reach it directly: this process
 * stops it in its turn.
 */
export class SupervisedProcess {
  readonly #plan: ProcessPlan;
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #supervision: Promise<void> = Promise.resolve();

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
  }

  /** The pid of the running process; undefined while none runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts the process and resolves with the details that it reports once it is ready.
   *
   * @throws Error with the last lines of its output if the process ends before that. It is not restarted then; the
   * caller decides.
   */
  async start(signal: AbortSignal): Promise<ReadyMessage["details"]> {
    const began = performance.now();
    const child = this.#launch();
    let isStarting = true;
    const lastLines: string[] = [];
    const outputEnd = forwardLines(child, (line) => {
      lastLines.push(forPeople(line) ?? "");
      if (lastLines.length > 20) lastLines.shift();
      this.#plan.onLine(line, isStarting);
    });
    const waiting = new AbortController();
    const stopped = once(signal, "abort", { signal: waiting.signal }).then(
      () => "asked to stop",
      () => "not waiting any more",
    );
    const outcome = await Promise.race([readiness(child), endOf(child), stopped]);
    waiting.abort();
    if (typeof outcome === "string") {
      child.kill("SIGKILL");
      await outputEnd;
      signal.throwIfAborted();
      const words = lastLines.filter((line) => line !== "").map((line) => `  ${line}`);
      throw new Error([`${this.#plan.name} did not start (${outcome}):`, ...words].join("\n"));
    }
    isStarting = false;
    this.#supervision = this.#keepRunning(child);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const url = outcome["url"] === undefined ? "" : ` at ${outcome["url"]}`;
    this.#plan.report(`${this.#plan.name} ready${url} (process ${child.pid ?? 0}) ${seconds} s`);
    return outcome;
  }

  /** Asks the process to end, and kills it if it takes too long. */
  async stop(withinMs: number): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (child !== undefined && isRunning(child)) {
      child.kill("SIGTERM");
      const hasEnded = endOf(child).then(() => true);
      const inTime = await pTimeout(hasEnded, { milliseconds: withinMs, fallback: () => false });
      if (!inTime) child.kill("SIGKILL");
    }
    await this.#supervision;
  }

  async #keepRunning(first: ChildProcess): Promise<void> {
    let child = first;
    let startedAt = performance.now();
    let waitMs = restartDelayMs.first;
    const { name, report } = this.#plan;
    for (;;) {
      const reason = await endOf(child);
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - startedAt > soundAfterMs) waitMs = restartDelayMs.first;
      report(`${name} ended unexpectedly (${reason}); starting it again in ${waitMs / 1000} s`);
      try {
        await delay(waitMs, undefined, { signal: this.#stopping.signal });
      } catch {
        return; // the process was asked to stop meanwhile
      }
      waitMs = Math.min(waitMs * 2, restartDelayMs.longest);
      startedAt = performance.now();
      child = this.#launch();
      void forwardLines(child, (line) => {
        this.#plan.onLine(line, false);
      });
      void readiness(child).then(() => {
        report(`${name} is back (process ${child.pid ?? 0})`);
      });
    }
  }

  #launch(): ChildProcess {
    const child = fork(launcher, [this.#plan.entry, ...(this.#plan.args ?? [])], {
      detached: true,
      execArgv: [],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...this.#plan.env },
    });
    child.on("error", () => undefined); // the end of the process follows, and is reported
    this.#child = child;
    return child;
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Resolves when the process has ended, with a text such as "exit code 1" or "SIGKILL". */
async function endOf(child: ChildProcess): Promise<string> {
  if (isRunning(child)) await once(child, "exit");
  return child.signalCode ?? `exit code ${child.exitCode ?? "unknown"}`;
}

async function readiness(child: ChildProcess): Promise<ReadyMessage["details"]> {
  return new Promise((resolve) => {
    child.on("message", (message) => {
      const ready = readyMessageSchema.safeParse(message);
      if (ready.success) resolve(ready.data.details);
    });
  });
}

/** Passes on every line of the process; resolves when there are no more. */
async function forwardLines(child: ChildProcess, onLine: (line: string) => void): Promise<void> {
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null);
  await Promise.all(
    streams.map(async (stream) => {
      for await (const line of createInterface({ input: stream })) onLine(line);
    }),
  );
}
