/** How long one execution took, in milliseconds. */
export interface RunTimes {
  totalMs: number;
  /** From its begin to the begin of its first step; `null` if no node reported steps. */
  leadMs: number | null;
}

/**
 * Measures one execution by the arrival of its messages. Servers do not say how long they load. So the time before the
 * first step counts: from `execution_start` to the moment when the first step of a node with several steps was done,
 * less the time of a step. It contains what else runs before the sampler (texts are encoded), which is short.
 */
export class RunTiming {
  readonly #begunAt: number;
  #firstStep: { step: number; at: number } | null = null;
  #lastStep: { step: number; at: number } | null = null;
  #node: string | null = null;

  /** @param now monotonic milliseconds, as everywhere here */
  constructor(now: number) {
    this.#begunAt = now;
  }

  /** A node reported a step. Only the first node that reports several steps counts. */
  noteStep(node: string | null, step: number | null, steps: number | null, now: number): void {
    if (node === null || step === null || steps === null || steps < 2 || step < 1) return;
    this.#node ??= node;
    if (node !== this.#node) return;
    this.#firstStep ??= { step, at: now };
    if (step > (this.#lastStep?.step ?? 0)) this.#lastStep = { step, at: now };
  }

  /** How long it has executed. */
  executingMs(now: number): number {
    return now - this.#begunAt;
  }

  /**
   * The execution has ended.
   * @param executedMs how long it took by the server's clock; `undefined` = not known, so the arrival of the messages counts
   */
  measured(now: number, executedMs: number | undefined): RunTimes {
    const leadMs = this.#leadMs();
    return { totalMs: Math.max(executedMs ?? now - this.#begunAt, leadMs ?? 0), leadMs };
  }

  #leadMs(): number | null {
    const [first, last] = [this.#firstStep, this.#lastStep];
    if (first === null || last === null) return null;
    const stepMs = last.step > first.step ? (last.at - first.at) / (last.step - first.step) : 0;
    return Math.max(first.at - this.#begunAt - first.step * stepMs, 0);
  }
}
