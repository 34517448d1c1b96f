import { type WorkerDrain } from "./worker-drain.ts";

/**
 * Listens for SIGUSR2, which begins the drain of a worker. (SIGUSR1 starts Node's debugger.) A second one changes nothing: a
 * script may send it twice. Without a listener the signal would end the process, so this comes first; a signal that arrives
 * before the worker is built counts then.
 */
export class DrainSignal {
  #drain: WorkerDrain | null = null;
  #isWanted = false;

  constructor() {
    process.on("SIGUSR2", () => {
      this.#isWanted = true;
      this.#drain?.begin("SIGUSR2");
    });
  }

  actOn(drain: WorkerDrain): void {
    this.#drain = drain;
    if (this.#isWanted) drain.begin("SIGUSR2");
  }
}
