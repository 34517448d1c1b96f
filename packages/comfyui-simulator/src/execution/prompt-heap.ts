import { stringifyPythonJson } from "../python/python-json.ts";
import {
  comparable,
  PythonError,
  type PythonDict,
  type PythonFloat,
  type PythonValue,
} from "../python/python-values.ts";

/** One accepted prompt: the five elements of a queue entry (PROTOCOL 4). */
export interface QueuedPrompt {
  readonly number: number | PythonFloat;
  readonly promptId: string;
  readonly graph: PythonDict;
  readonly extraData: PythonValue;
  /** What a server of 0.28 keeps beside the entry, and gives back to `extra_data` for the run alone. */
  readonly secrets?: PythonDict;
  readonly outputs: readonly string[];
}

/**
 * The waiting prompts as Python's `heapq` keeps them. `/queue` shows this very array, so the layout after every push,
 * pop and removal follows heapq's algorithm and not just any heap's (PROTOCOL 4).
 */
export class PromptHeap {
  #items: QueuedPrompt[] = [];

  get size(): number {
    return this.#items.length;
  }

  list(): readonly QueuedPrompt[] {
    return this.#items;
  }

  /** Appends before it compares: if the comparison raises, the prompt is queued nevertheless (PROTOCOL 10). */
  push(item: QueuedPrompt): void {
    this.#items.push(item);
    this.#rise(0, this.#items.length - 1);
  }

  pop(): QueuedPrompt | undefined {
    const last = this.#items.pop();
    const first = this.#items[0];
    if (last === undefined || first === undefined) return last;
    this.#items[0] = last;
    this.#sink(0);
    return first;
  }

  /** Removes the first entry, in array order, with that id. @returns whether there was one */
  remove(promptId: PythonValue): boolean {
    const index = this.#items.findIndex((item) => item.promptId === promptId);
    if (index < 0) return false;
    this.#items.splice(index, 1);
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
    return true;
  }

  clear(): void {
    this.#items = [];
  }

  #rise(top: number, from: number): void {
    let at = from;
    const item = this.#at(at);
    while (at > top) {
      const parentIndex = (at - 1) >> 1;
      const parent = this.#at(parentIndex);
      if (!runsBefore(item, parent)) break;
      this.#items[at] = parent;
      at = parentIndex;
    }
    this.#items[at] = item;
  }

  /** heapq first moves the smaller child up all the way to a leaf, and only then lets the item rise again. */
  #sink(top: number): void {
    const item = this.#at(top);
    let at = top;
    for (let child = 2 * at + 1; child < this.#items.length; child = 2 * at + 1) {
      const right = child + 1;
      if (right < this.#items.length && !runsBefore(this.#at(child), this.#at(right))) child = right;
      this.#items[at] = this.#at(child);
      at = child;
    }
    this.#items[at] = item;
    this.#rise(top, at);
  }

  #at(index: number): QueuedPrompt {
    const item = this.#items[index];
    if (item === undefined) throw new RangeError(`no prompt at ${index}`);
    return item;
  }
}

/**
 * Python's comparison of the two entries as tuples: number, then prompt id as text; beyond that it would have to order
 * two dicts, which raises unless they are equal. @throws PythonError
 */
function runsBefore(a: QueuedPrompt, b: QueuedPrompt): boolean {
  const [left, right] = [Number(comparable(a.number)), Number(comparable(b.number))];
  if (left !== right) return left < right;
  if (a.promptId !== b.promptId) return a.promptId < b.promptId;
  for (const [one, other] of [
    [a.graph, b.graph],
    [a.extraData, b.extraData],
  ] as const) {
    if (stringifyPythonJson(one) !== stringifyPythonJson(other)) {
      throw new PythonError("TypeError", "'<' not supported between instances of 'dict' and 'dict'");
    }
  }
  return a.outputs.join("\n") < b.outputs.join("\n");
}
