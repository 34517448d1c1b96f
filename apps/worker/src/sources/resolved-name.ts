import { type Logger } from "@genga/runtime";
import { KnownAddresses } from "./known-addresses.ts";

export interface ResolvedNameOptions {
  host: string;
  intervalMs: number;
  /** The addresses of the name now, one or more. @throws Error with a code */
  lookUp: (host: string) => Promise<readonly string[]>;
  /** Called when the addresses have changed, and when the name begins or ends to be unresolved. */
  onChange: () => void;
  log: Logger;
}

/**
 * The addresses of one name that stands for several servers. A failed lookup and an answer without any address change
 * nothing: an outage of DNS must not retire a farm.
 */
export class ResolvedName {
  readonly #options: ResolvedNameOptions;
  readonly #known = new KnownAddresses();
  readonly firstLookup: Promise<void>;
  #trouble: string | null = null;
  #wasAnswered = false;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: ResolvedNameOptions) {
    this.#options = options;
    this.firstLookup = this.#lookUp();
  }

  get addresses(): string[] {
    return this.#known.all;
  }

  /** Why it could not be resolved last; `null` = it was. */
  get trouble(): string | null {
    return this.#trouble;
  }

  get wasAnswered(): boolean {
    return this.#wasAnswered;
  }

  /** Addresses that it had in an earlier life of this worker, or for another one. They count until DNS has answered. */
  recall(addresses: readonly string[]): void {
    if (this.#wasAnswered || this.#isClosed || addresses.length === 0) return;
    this.#known.recall(addresses);
    this.#options.onChange();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer ?? undefined);
  }

  async #lookUp(): Promise<void> {
    const { host, lookUp, intervalMs } = this.#options;
    try {
      this.#noteAnswer(await lookUp(host));
    } catch (error) {
      this.#noteTrouble(error);
    }
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#lookUp(), intervalMs);
  }

  #noteAnswer(addresses: readonly string[]): void {
    if (this.#isClosed) return;
    const { host, log, onChange } = this.#options;
    this.#wasAnswered = true;
    const hasChanged = this.#known.note(addresses);
    const wasTrouble = this.#trouble !== null;
    this.#trouble = null;
    if (wasTrouble) log.info({ host }, "a name of servers is resolved again");
    if (hasChanged)
      log.info({ host, servers: this.#known.size }, "the addresses of a name of servers have changed");
    if (hasChanged || wasTrouble) onChange();
  }

  #noteTrouble(error: unknown): void {
    const trouble =
      typeof error === "object" && error !== null && "code" in error ? String(error.code) : "failed";
    if (this.#isClosed || this.#trouble === trouble) return;
    this.#trouble = trouble;
    const { host, log, onChange } = this.#options;
    const kept = this.#known.size;
    log.warn({ host, why: trouble, kept }, "a name of servers cannot be resolved: its known addresses count");
    onChange();
  }
}
