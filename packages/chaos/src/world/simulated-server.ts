import { readFile } from "node:fs/promises";
import {
  startSimulatorProcess,
  startTcpProxy,
  type Passage,
  type SimulatorProcess,
  type TcpProxy,
} from "@genga/testing";
import { executionLineSchema, type Execution } from "../history/history.ts";
import { type ServerKit } from "../plan/server-kits.ts";

/** A simulated ComfyUI behind a network of its own. Its address stays the same when its process is replaced. */
export class SimulatedServer {
  readonly proxy: TcpProxy;
  readonly kit: ServerKit;
  readonly #executionLog: string;
  readonly #onDeath: (server: SimulatedServer, how: number | string) => void;
  #process: SimulatorProcess;
  isEnding = false;

  private constructor(
    process: SimulatorProcess,
    proxy: TcpProxy,
    kit: ServerKit,
    executionLog: string,
    onDeath: (server: SimulatedServer, how: number | string) => void,
  ) {
    this.#process = process;
    this.proxy = proxy;
    this.kit = kit;
    this.#executionLog = executionLog;
    this.#onDeath = onDeath;
    this.#watch(process);
  }

  static async start(options: {
    args: string[];
    kit: ServerKit;
    executionLog: string;
    onPassage: (server: SimulatedServer, passage: Passage) => void;
    onDeath: (server: SimulatedServer, how: number | string) => void;
  }): Promise<SimulatedServer> {
    const { executionLog } = options;
    const process = await startSimulatorProcess([...options.args, "--execution-log", executionLog]);
    const proxy = await startTcpProxy({ targetUrl: process.url });
    const server = new SimulatedServer(process, proxy, options.kit, executionLog, options.onDeath);
    proxy.observe((passage) => {
      options.onPassage(server, passage);
    });
    return server;
  }

  /** The URL at which workers reach it. */
  get url(): string {
    return this.proxy.url.replace(/\/$/, "");
  }

  get lines(): readonly string[] {
    return this.#process.lines;
  }

  async fault(fault: { kind: string; [option: string]: unknown }): Promise<void> {
    await this.#process.fault(fault);
  }

  /** Removes faults that still wait for something to happen. */
  async clearFaults(): Promise<void> {
    await fetch(`${this.#process.controlUrl}/faults`, { method: "DELETE" });
  }

  pause(): void {
    this.#process.signal("SIGSTOP");
  }

  resume(): void {
    this.#process.signal("SIGCONT");
  }

  async kill(): Promise<void> {
    this.isEnding = true;
    this.#process.signal("SIGKILL");
    await this.#process.exited;
  }

  /** Starts the server again after a kill or a crash, with the same port, folders and log. */
  async startAgain(): Promise<void> {
    await this.#process.exited;
    this.#process = await startSimulatorProcess([...this.#process.args]);
    this.isEnding = false;
    this.#watch(this.#process);
  }

  async close(): Promise<void> {
    await this.kill();
    await this.proxy.close();
  }

  /** The number of prompts in its queue; requested directly, not through the proxy. */
  async promptsHeld(): Promise<number> {
    const response = await fetch(`${this.#process.url}/prompt`, { signal: AbortSignal.timeout(5_000) });
    const text = await response.text();
    return Number(/"queue_remaining":\s*(\d+)/.exec(text)?.[1] ?? Number.NaN);
  }

  /** Every start and end of an execution, including those of killed processes. */
  async executions(): Promise<Execution[]> {
    const text = await readFile(this.#executionLog, "utf8").catch(() => "");
    return text
      .split("\n")
      .filter((line) => line.endsWith("}"))
      .map((line) => ({ ...executionLineSchema.parse(JSON.parse(line)), serverUrl: this.url }));
  }

  #watch(process: SimulatorProcess): void {
    void process.exited.then((how) => {
      if (!this.isEnding) this.#onDeath(this, how);
    });
  }
}
