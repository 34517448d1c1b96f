const programBytes = 1024 ** 3;
const checkpointBytes = 6 * 1024 ** 3;
const addOnBytes = 512 * 1024 ** 2;

/**
 * Keeps track of the checkpoint in memory: one at a time, so switching back and forth loads again each time. Add-on
 * models (motion modules, VAEs of their own) are kept beside it until everything is unloaded.
 */
export class LoadedModel {
  #checkpoint: string | undefined;
  readonly #others = new Set<string>();

  /** Makes a checkpoint the loaded one. @returns whether it had to be loaded */
  switchTo(checkpoint: string): boolean {
    if (this.#checkpoint === checkpoint) return false;
    this.#checkpoint = checkpoint;
    return true;
  }

  /** Adds a smaller model. @returns whether it had to be loaded */
  add(name: string): boolean {
    if (this.#others.has(name)) return false;
    this.#others.add(name);
    return true;
  }

  /** The memory that the loaded models and the program itself take. */
  get bytes(): number {
    return (
      programBytes + (this.#checkpoint === undefined ? 0 : checkpointBytes) + this.#others.size * addOnBytes
    );
  }

  get current(): string | undefined {
    return this.#checkpoint;
  }

  unload(): void {
    this.#checkpoint = undefined;
    this.#others.clear();
  }
}
