import { type ComfyUIConnector } from "@genga/comfyui";
import { type ServerLease } from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions } from "@genga/workflows";
import { readDefinitions } from "./read-definitions.ts";

const maxAgeMs = 60_000;

export interface KnownDefinitionsOptions {
  connector: ComfyUIConnector;
  lease: ServerLease;
  definitions: DefinitionsStore;
  /** The server was asked what it can run. */
  onRead: () => void;
}

/** What one server can run, as it said last. */
export class KnownDefinitions {
  readonly #options: KnownDefinitionsOptions;
  #current: HashedDefinitions | null = null;
  /** The hash of the text from which they were parsed. */
  #textHash = "";
  /** When the server gave that text last. */
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: KnownDefinitionsOptions) {
    this.#options = options;
  }

  /** `null` until the server was asked. */
  get current(): HashedDefinitions | null {
    return this.#current;
  }

  /** They are there, and not older than a minute. */
  get areFresh(): boolean {
    return this.#current !== null && performance.now() - this.#readAt < maxAgeMs;
  }

  /** They are to be read again at the next check, however fresh they are. */
  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  /** Asks the server, and keeps its answer in the database if that is another than the last. @throws ComfyUIError */
  async read({ replacesNodes, signal }: { replacesNodes: boolean; signal: AbortSignal }): Promise<void> {
    const { connector, lease, definitions, onRead } = this.#options;
    const { textHash, answers } = await readDefinitions(connector, { replacesNodes, signal });
    if (this.#current === null || textHash !== this.#textHash) {
      const storedHash = this.#current?.hash ?? null;
      const kept = await definitions.keep(lease, answers, { storedHash, signal });
      // The lease on the server is lost; the next renewal finds that out.
      if (kept === null) return;
      this.#current = kept;
    }
    this.#textHash = textHash;
    this.#readAt = performance.now();
    onRead();
  }
}
