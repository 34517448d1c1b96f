import { type NotChecked } from "@genga/comfyui";
import { type Logger } from "@genga/runtime";
import { type Counter } from "prom-client";

/** How many classes are remembered as logged; after that the log may repeat itself. */
const classesMax = 10_000;

/** Counts the inputs that only servers can check, and logs each node class with such inputs once. */
export class UncheckedInputs {
  readonly #counter: Counter;
  readonly #log: Logger;
  readonly #logged = new Set<string>();

  constructor(parts: { counter: Counter; log: Logger }) {
    this.#counter = parts.counter;
    this.#log = parts.log;
  }

  /**
   * @param notes the `notChecked` of accepted graphs
   * @param count how many there were, if `notes` has only one of each class
   */
  note(notes: readonly NotChecked[], count = notes.length): void {
    this.#counter.inc(count);
    for (const { classType, input, message } of notes) {
      if (this.#logged.has(classType)) continue;
      if (this.#logged.size >= classesMax) this.#logged.clear();
      this.#logged.add(classType);
      this.#log.warn(
        { classType, input },
        `Genga does not know a part of this node class's definition, so only the server checks it: ${message}`,
      );
    }
  }
}
