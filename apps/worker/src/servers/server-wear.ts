import { type FreeMemory } from "./server-answers.ts";

/** Of so many checks the free memory is remembered. */
const memoriesMax = 5;

/** What tells when a server should be recycled: the prompts that ended on it, and its free memory. */
export class ServerWear {
  #promptsEnded = 0;
  #freeMemory: FreeMemory[] = [];

  /** In the last checks, the latest last. */
  get freeMemory(): readonly FreeMemory[] {
    return this.#freeMemory;
  }

  noteMemory(free: FreeMemory): void {
    this.#freeMemory = [...this.#freeMemory.slice(1 - memoriesMax), free];
  }

  /** What was free says nothing any more. */
  forgetMemory(): void {
    this.#freeMemory = [];
  }

  notePromptEnded(): void {
    this.#promptsEnded += 1;
  }

  /** How many prompts have ended since the last call. */
  takePromptsEnded(): number {
    const count = this.#promptsEnded;
    this.#promptsEnded = 0;
    return count;
  }

  /** They could not be counted yet. */
  returnPromptsEnded(count: number): void {
    this.#promptsEnded += count;
  }
}
