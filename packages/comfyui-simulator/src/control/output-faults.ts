/** Faults of a file that was just written, although the server reports success. */
export type OutputFault = "truncate-output" | "missing-output" | "empty-output";

/** Faults of the next few prompts, armed from the control interface. */
export class OutputFaults {
  readonly #armed = new Map<OutputFault | "out-of-memory", number>();

  arm(kind: OutputFault | "out-of-memory", count: number): void {
    this.#armed.set(kind, count);
  }

  clear(): void {
    this.#armed.clear();
  }

  /** Uses up one armed fault of that kind. @returns whether there was one */
  take(kind: OutputFault | "out-of-memory"): boolean {
    const left = this.#armed.get(kind) ?? 0;
    if (left <= 0) return false;
    this.#armed.set(kind, left - 1);
    return true;
  }
}
