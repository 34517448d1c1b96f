import { type PythonJson } from "../python/python-json.ts";
import { type PythonValue } from "../python/python-values.ts";
import { PromptHeap, type QueuedPrompt } from "./prompt-heap.ts";

/** One of the messages about a prompt that history keeps. */
export interface StatusMessage {
  readonly type: string;
  readonly data: Readonly<Record<string, PythonJson>>;
}

/** The server's record of a finished prompt (PROTOCOL 5). */
export interface HistoryEntry {
  readonly prompt: QueuedPrompt;
  readonly outputs: ReadonlyMap<string, PythonJson>;
  readonly status: {
    readonly status_str: "success" | "error";
    readonly completed: boolean;
    readonly messages: readonly StatusMessage[];
  };
  readonly meta: ReadonlyMap<string, PythonJson>;
}

/**
 * From this size on, the oldest entry is removed for a new one. The size is checked before adding, so the history holds
 * one entry more (PROTOCOL 5).
 */
const historyMax = 10_000;

/** Waiting, running and finished prompts: the state that a restart forgets. */
export class PromptQueue {
  readonly waiting = new PromptHeap();
  readonly #running = new Map<number, QueuedPrompt>();
  readonly #history = new Map<string, HistoryEntry>();
  #nextItem = 0;
  readonly #onUpdated: () => void;
  readonly #onAvailable: () => void;

  /** @param onUpdated broadcasts the queue length; @param onAvailable wakes the executor */
  constructor(onUpdated: () => void, onAvailable: () => void) {
    this.#onUpdated = onUpdated;
    this.#onAvailable = onAvailable;
  }

  /** Running plus waiting: the number in every `status` message. */
  get remaining(): number {
    return this.#running.size + this.waiting.size;
  }

  put(prompt: QueuedPrompt): void {
    this.waiting.push(prompt);
    this.#onUpdated();
    this.#onAvailable();
  }

  /** Moves the next prompt to running. @returns the item number that `finish` wants back */
  take(): { item: number; prompt: QueuedPrompt } | undefined {
    const prompt = this.waiting.pop();
    if (prompt === undefined) return undefined;
    const item = this.#nextItem++;
    this.#running.set(item, prompt);
    this.#onUpdated();
    return { item, prompt };
  }

  /** Moves a prompt from running to history, in one step, and broadcasts `status`. */
  finish(item: number, entry: HistoryEntry): void {
    this.#running.delete(item);
    if (this.#history.size > historyMax) {
      const oldest = this.#history.keys().next();
      if (oldest.done !== true) this.#history.delete(oldest.value);
    }
    this.#history.set(entry.prompt.promptId, entry);
    this.#onUpdated();
  }

  runningPrompts(): QueuedPrompt[] {
    return [...this.#running.values()];
  }

  /** `POST /queue {"delete"}`: emptying the queue this way broadcasts twice (PROTOCOL 4). */
  delete(promptId: PythonValue): boolean {
    const only = this.waiting.size === 1;
    if (!this.waiting.remove(promptId)) return false;
    if (only) this.#onUpdated();
    this.#onUpdated();
    return true;
  }

  clear(): void {
    this.waiting.clear();
    this.#onUpdated();
  }

  historyEntry(promptId: string): HistoryEntry | undefined {
    return this.#history.get(promptId);
  }

  /**
   * A page of the history, oldest first (PROTOCOL 5). A negative offset with a limit means "the newest"; the limit is
   * checked only after an entry was added, so a limit of 0 with an offset still yields one.
   */
  historyPage(itemsMax: number | undefined, offset: number): Map<string, HistoryEntry> {
    const page = new Map<string, HistoryEntry>();
    const from = offset < 0 && itemsMax !== undefined ? this.#history.size - itemsMax : offset;
    let index = 0;
    for (const [promptId, entry] of this.#history) {
      if (index >= from) {
        page.set(promptId, entry);
        if (itemsMax !== undefined && page.size >= itemsMax) break;
      }
      index += 1;
    }
    return page;
  }

  deleteHistory(promptId: string): void {
    this.#history.delete(promptId);
  }

  clearHistory(): void {
    this.#history.clear();
  }

  /** Clears everything, as a restart does. No message is sent. */
  forget(): void {
    this.waiting.clear();
    this.#running.clear();
    this.#history.clear();
  }
}

/** A queue entry as JSON: `[number, prompt_id, graph, extra_data, [output ids]]`. */
export function queueTuple(prompt: QueuedPrompt): PythonJson {
  return [prompt.number, prompt.promptId, prompt.graph, prompt.extraData, prompt.outputs];
}
