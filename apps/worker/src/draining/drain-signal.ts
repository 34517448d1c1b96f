import { type WorkerDrain } from "./worker-drain.ts";

/**
 * Listens for SIGUSR2, which begins the drain of a worker, or ends it. (SIGUSR1 starts Node's debugger.) Without a listener
 * the signal would end the process, so this comes first; a signal that arrives before the worker is built counts then.
 */
export class DrainSignal {
  #drain: WorkerDrain | null = null;
  #isWanted = false;

  constructor() {
    process.on("SIGUSR2", () => {
      if (this.#drain === null) this.#isWanted = !this.#isWanted;
      else toggle(this.#drain);
    });
  }

  actOn(drain: WorkerDrain): void {
    this.#drain = drain;
    if (this.#isWanted) toggle(drain);
  }
}

function toggle(drain: WorkerDrain): void {
  if (drain.isDraining) drain.end("SIGUSR2");
  else drain.begin("SIGUSR2");
}
