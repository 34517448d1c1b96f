import { type ClientSockets } from "../messages/client-sockets.ts";
import { type ExecutionLog } from "../control/execution-log.ts";
import { AbandonedException } from "../nodes/node-run.ts";
import { type PythonValue } from "../python/python-values.ts";
import { nextTurn, type Clock } from "./clock.ts";
import { NodeCache } from "./node-cache.ts";
import { PromptRun, type PromptRunTools } from "./prompt-run.ts";
import { type PromptQueue } from "./prompt-queue.ts";

/** The part of the executor's state that the socket handler reads when a client reconnects (PROTOCOL 3, reconnect). */
export interface ExecutorView {
  readonly clientId: PythonValue;
  readonly lastNodeId: string | undefined;
}

/**
 * The server's one executor thread: takes prompts one at a time, in queue order, until the server ends or an unexpected
 * value kills the thread (PROTOCOL 10). All other parts of the server continue without it.
 */
export class Executor {
  readonly cache: NodeCache;
  readonly #queue: PromptQueue;
  readonly #sockets: ClientSockets;
  readonly #log: ExecutionLog;
  readonly #tools: PromptRunTools;
  readonly #clock: Clock;
  #wakeUp: (() => void) | undefined;
  #called = false;
  #run: PromptRun | undefined;
  #lastClientId: PythonValue = null;
  #interrupted = false;
  #free = { unloadModels: false, freeMemory: false };
  #dead = false;
  #finished = 0;

  constructor(
    queue: PromptQueue,
    sockets: ClientSockets,
    log: ExecutionLog,
    tools: PromptRunTools,
    clock: Clock,
  ) {
    this.cache = new NodeCache(tools.cachedResultsMin);
    this.#queue = queue;
    this.#sockets = sockets;
    this.#log = log;
    this.#tools = tools;
    this.#clock = clock;
  }

  get view(): ExecutorView {
    return { clientId: this.#lastClientId, lastNodeId: this.#run?.currentNodeId };
  }

  get isWedged(): boolean {
    return this.#dead;
  }

  /** Runs until the clock stops. */
  async work(): Promise<void> {
    try {
      for (;;) {
        this.#applyFree();
        if (!(await this.#takeOne())) await this.#clock.until(this.#nextCall());
      }
    } catch (error) {
      if (error instanceof AbandonedException) return;
      this.#dead = true;
      process.stderr.write(
        `executor thread died: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    }
  }

  wake(): void {
    this.#called = true;
    this.#wakeUp?.();
  }

  /** Kills the executor thread, as some accepted bodies do; the running prompt stays in the queue for ever. */
  wedge(): void {
    this.#dead = true;
    this.#run?.abandon();
    this.wake();
  }

  /** Sets the flag that running nodes check from time to time. */
  interrupt(): void {
    this.#interrupted = true;
  }

  /** Applied between prompts. */
  requestFree(flags: { unloadModels: boolean; freeMemory: boolean }): void {
    this.#free = {
      unloadModels: this.#free.unloadModels || flags.unloadModels || flags.freeMemory,
      freeMemory: this.#free.freeMemory || flags.freeMemory,
    };
    this.wake();
  }

  async #takeOne(): Promise<boolean> {
    if (this.#dead) throw new AbandonedException();
    const taken = this.#queue.take();
    if (taken === undefined) return false;
    const { item, prompt } = taken;
    await nextTurn();
    this.#log.started(prompt.promptId);
    this.#interrupted = false;
    const run = new PromptRun(prompt, this.cache, this.#tools, {
      sockets: this.#sockets,
      clock: this.#clock,
      takeInterrupt: () => this.#takeInterrupt(),
      onClient: (clientId) => {
        this.#lastClientId = clientId;
      },
    });
    this.#run = run;
    const entry = await run.execute();
    this.#run = undefined;
    await this.#lag();
    this.#queue.finish(item, entry);
    this.#log.finished(prompt.promptId, entry.status.status_str);
    if (run.clientId !== null) {
      this.#sockets.send("executing", { node: null, prompt_id: prompt.promptId }, run.clientId);
    }
    this.#finished += 1;
    await nextTurn();
    return true;
  }

  /**
   * Waits as the real server does: in the recordings every third or fourth request for the history right after
   * `execution_success` came too early (PROTOCOL 0.1).
   */
  async #lag(): Promise<void> {
    const { historyLagMs } = this.#tools.timing;
    if (historyLagMs > 0 && this.#finished % 4 === 3) await this.#clock.wait(historyLagMs);
  }

  #takeInterrupt(): boolean {
    const was = this.#interrupted;
    this.#interrupted = false;
    return was;
  }

  #applyFree(): void {
    if (this.#free.unloadModels) this.#tools.loaded.unload();
    if (this.#free.freeMemory) this.cache.clear();
    this.#free = { unloadModels: false, freeMemory: false };
  }

  async #nextCall(): Promise<void> {
    if (!this.#called) {
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
    }
    this.#called = false;
  }
}
