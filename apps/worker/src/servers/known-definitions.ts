import { type ComfyUIConnector } from "@genga/comfyui";
import { type ServerLease } from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { readDefinitions } from "./read-definitions.ts";

const maxAgeMs = 60_000;

export interface KnownDefinitionsOptions {
  connector: ComfyUIConnector;
  lease: ServerLease;
  definitions: DefinitionsStore;
  /** Called when the server was asked for its definitions. */
  onRead: () => void;
}

/** The definitions of one server, as it last answered. */
export class KnownDefinitions {
  readonly #options: KnownDefinitionsOptions;
  #current: HashedDefinitions | null = null;
  /** The hash of the text that the definitions were parsed from. */
  #textHash = "";
  /** When the server last gave this text. */
  #readAt = Number.NEGATIVE_INFINITY;
  #isDoubted = false;

  constructor(options: KnownDefinitionsOptions) {
    this.#options = options;
  }

  /** `null` until the server was asked. */
  get current(): HashedDefinitions | null {
    return this.#current;
  }

  /** They are known, and were read since the last doubt. */
  get areCurrent(): boolean {
    return this.#current !== null && !this.#isDoubted;
  }

  /** The server was away, and may have changed: a server that does not hand them out now can do no work. */
  doubt(): void {
    this.#isDoubted = true;
  }

  /** The definitions are known and at most a minute old. */
  get areFresh(): boolean {
    return this.areCurrent && performance.now() - this.#readAt < maxAgeMs;
  }

  /** Lets the next check read the definitions again, however fresh they are. */
  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  /** Asks the server for its definitions and stores them in the database if they have changed. @throws ComfyUIError */
  async read({ replacesNodes, signal }: { replacesNodes: boolean; signal: AbortSignal }): Promise<void> {
    const { connector, lease, definitions, onRead } = this.#options;
    const answers = await readDefinitions(connector, { replacesNodes, signal });
    const { textHash } = answers;
    if (this.#current === null || textHash !== this.#textHash) {
      const storedHash = this.#current?.hash ?? null;
      const kept = await definitions.keep(lease, answers, { storedHash, signal });
      // The lease of the server is lost; the next renewal will notice it.
      if (kept === null) return;
      this.#current = kept;
    }
    this.#textHash = textHash;
    this.#readAt = performance.now();
    this.#isDoubted = false;
    onRead();
  }
}
