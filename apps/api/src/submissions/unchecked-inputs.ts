import { type NotChecked } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";
import { type Counter } from "prom-client";

/** Classes that are remembered as logged; after so many the log may repeat itself. */
const classesMax = 10_000;

/** Counts what was left to the servers to judge, and says once for each node class what Genga does not know of it. */
export class UncheckedInputs {
  readonly #counter: Counter;
  readonly #log: Logger;
  readonly #logged = new Set<string>();

  constructor(parts: { counter: Counter; log: Logger }) {
    this.#counter = parts.counter;
    this.#log = parts.log;
  }

  /** @param notes of one accepted graph */
  note(notes: readonly NotChecked[]): void {
    this.#counter.inc(notes.length);
    for (const { classType, input, message } of notes) {
      if (this.#logged.has(classType)) continue;
      if (this.#logged.size >= classesMax) this.#logged.clear();
      this.#logged.add(classType);
      this.#log.warn(
        { classType, input },
        `a node class is described in a way that Genga does not know, so the server alone judges it: ${message}`,
      );
    }
  }
}
