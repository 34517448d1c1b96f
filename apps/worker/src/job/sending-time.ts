import { callIn } from "../timing/call-in.ts";
import { type Run } from "./run.ts";

/** The time in which a run may send its files and its prompt: until its job is cancelled, or the job's queue deadline passes. */
export class SendingTime {
  readonly #over = new AbortController();
  readonly #dropTimer: () => void;
  /** Aborted when this time is over. */
  readonly overSignal: AbortSignal;
  /** Aborted when this time is over, or the run is stopped. */
  readonly signal: AbortSignal;

  constructor(run: Run) {
    this.overSignal = AbortSignal.any([run.cancelSignal, this.#over.signal]);
    this.signal = AbortSignal.any([run.stopSignal, this.overSignal]);
    const leftMs = run.queueLeftMs() ?? Infinity;
    if (leftMs <= 0) this.#over.abort();
    // A millisecond later, so that nobody who then asks the run for the time left is told a rounded rest of it.
    this.#dropTimer = Number.isFinite(leftMs)
      ? callIn(leftMs + 1, () => {
          this.#over.abort();
        })
      : () => undefined;
  }

  dispose(): void {
    this.#dropTimer();
  }
}
