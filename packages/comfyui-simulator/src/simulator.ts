import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { ControlServer } from "./control/control-server.ts";
import { ExecutionLog, type ExecutionRecord } from "./control/execution-log.ts";
import { faultSchema, type Fault, type FaultRequest } from "./control/fault.ts";
import { HttpFaults } from "./control/http-faults.ts";
import { OutputFaults } from "./control/output-faults.ts";
import { DrawingThread } from "./drawing/drawing-thread.ts";
import { resolveOptions, type ResolvedOptions, type SimulatorOptions } from "./options.ts";
import { ServerLife, type Machine } from "./server-life.ts";

/** A running simulator. */
export interface Simulator {
  /** The URL of the protocol, e.g. `http://127.0.0.1:8188`; it stays the same across restarts. */
  readonly url: string;
  readonly port: number;
  readonly controlUrl: string;
  readonly dataDir: string;
  readonly outputDir: string;
  /** Requests a fault, like `POST /faults`. */
  fault(request: FaultRequest): Promise<void>;
  /** Cancels every fault that has not happened yet. */
  clearFaults(): void;
  /** Every start and end of an execution so far, across restarts. */
  executions(): readonly ExecutionRecord[];
  /** Ends everything and removes the data folder if it was made for this simulator. */
  stop(): Promise<void>;
}

/** Starts a ComfyUI server that needs no GPU. @throws when a port is taken */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = new RunningSimulator(resolveOptions(options), options.onCrash);
  await simulator.start();
  return simulator;
}

class RunningSimulator implements Simulator {
  readonly #options: ResolvedOptions;
  readonly #machine: Machine;
  readonly #control: ControlServer;
  #life: ServerLife | undefined;
  #changing: Promise<void> = Promise.resolve();
  #boundPort = 0;
  #boundControlPort = 0;

  constructor(options: ResolvedOptions, onCrash: ((reason: string) => void) | undefined) {
    this.#options = options;
    this.#machine = {
      options,
      drawing: new DrawingThread(),
      log: new ExecutionLog(options.executionLog),
      outputFaults: new OutputFaults(),
      httpFaults: new HttpFaults(),
      onCrash: onCrash ?? (() => void this.#inTurn(() => this.#endLife())),
    };
    this.#control = new ControlServer({
      log: this.#machine.log,
      state: () => ({
        isUp: this.#life !== undefined,
        isWedged: this.#life?.executor.isWedged ?? false,
        isFrozen: this.#life?.clock.isFrozen ?? false,
        queueRemaining: this.#life?.queue.remaining ?? 0,
      }),
      fault: (fault) => this.#apply(fault),
      clearFaults: () => {
        this.clearFaults();
      },
    });
  }

  get port(): number {
    return this.#boundPort;
  }

  get url(): string {
    return `http://${this.#options.host}:${this.#boundPort}`;
  }

  get controlUrl(): string {
    return `http://${this.#options.host}:${this.#boundControlPort}`;
  }

  get dataDir(): string {
    return this.#options.dataDir;
  }

  get outputDir(): string {
    return this.#options.outputDir;
  }

  async start(): Promise<void> {
    this.#boundControlPort = await this.#control.start(this.#options.controlPort, this.#options.host);
    await delay(this.#options.startDelayMs);
    await this.#beginLife(this.#options.port);
  }

  fault(request: FaultRequest): Promise<void> {
    return this.#apply(faultSchema.parse(request));
  }

  clearFaults(): void {
    this.#machine.outputFaults.clear();
    this.#machine.httpFaults.clear();
  }

  executions(): readonly ExecutionRecord[] {
    return this.#machine.log.records();
  }

  async stop(): Promise<void> {
    await this.#inTurn(() => this.#endLife());
    await this.#control.stop();
    await this.#machine.drawing.close();
    if (this.#options.ownsDataDir) await rm(this.#options.dataDir, { recursive: true, force: true });
  }

  async #apply(fault: Fault): Promise<void> {
    const { outputFaults, httpFaults } = this.#machine;
    switch (fault.kind) {
      case "drop-sockets":
        this.#life?.dropSockets();
        return;
      case "half-open-sockets":
        this.#life?.sockets.mute();
        return;
      case "freeze":
        this.#life?.freeze(fault.ms);
        return;
      case "wedge":
        this.#life?.executor.wedge();
        return;
      case "amnesia":
        await this.#inTurn(() => this.#restart(0));
        return;
      case "restart":
        await this.#inTurn(() => this.#restart(fault.downMs));
        return;
      case "crash":
        this.#machine.onCrash("asked to crash");
        await this.#changing;
        return;
      case "delay-replies":
        httpFaults.delayReplies(fault.path, fault.ms);
        return;
      case "lose-next-prompt-reply":
        httpFaults.loseReplies(fault.next);
        return;
      case "error-after-queueing":
        httpFaults.failAfterQueueing(fault.next);
        return;
      case "out-of-memory":
      case "truncate-output":
      case "missing-output":
      case "empty-output":
        outputFaults.arm(fault.kind, fault.next);
        return;
    }
  }

  async #restart(downMs: number): Promise<void> {
    await this.#endLife();
    await delay(downMs);
    await this.#beginLife(this.#boundPort);
  }

  async #beginLife(port: number): Promise<void> {
    const life = new ServerLife(this.#machine);
    this.#boundPort = await life.start(port);
    this.#life = life;
  }

  async #endLife(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    await life?.stop();
  }

  /** Starts and stops never overlap. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#changing = this.#changing.then(change, change);
    return this.#changing;
  }
}
