import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import pTimeout from "p-timeout";
import { StoreUnavailableError, type KeyStore, type Principal } from "@genga/jobs";

export interface MadeKeysOptions {
  keys: KeyStore;
  /**
   * How long a key that was found counts as valid without another query. A revoked key may work this long in this
   * process.
   */
  rememberMs: number;
  /** While no key exists: pause between two queries that ask whether one exists now. */
  checkEveryMs: number;
}

const rememberedMax = 1_000;

/**
 * A request waits this long for the query that asks whether keys exist, and as long for the query about its own key.
 */
const patienceMs = 500;

/** The keys that operators made. Keys that were found are cached for a while, unknown keys are not. */
export class MadeKeys {
  readonly #options: MadeKeysOptions;
  readonly #remembered = new LRUCache<string, { principal: Principal; until: number }>({
    max: rememberedMax,
  });
  #areThere = false;
  #checkedAt = -Infinity;
  #checking: Promise<void> | undefined;

  constructor(options: MadeKeysOptions) {
    this.#options = options;
  }

  /** The principal of this key; `undefined` = no valid key. @throws StoreUnavailableError */
  async find(key: string): Promise<Principal | undefined> {
    const hash = hashOf(key);
    const known = this.#remembered.get(hash);
    if (known !== undefined && known.until > performance.now()) return known.principal;
    this.#remembered.delete(hash);
    const found = await this.#options.keys.findPrincipal(key);
    if (found === null) return undefined;
    const { rememberMs } = this.#options;
    const until = performance.now() + Math.min(rememberMs, found.validForMs ?? rememberMs);
    this.#remembered.set(hash, { principal: found.principal, until });
    return found.principal;
  }

  /** Which of these keys still work; asks the database, not the cache. @throws StoreUnavailableError */
  async findWorking(keys: readonly string[]): Promise<ReadonlySet<string>> {
    if (keys.length === 0) return new Set();
    const working = new Set(await this.#options.keys.findWorkingKeys(keys));
    for (const key of keys) if (!working.has(key)) this.#remembered.delete(hashOf(key));
    return working;
  }

  /**
   * Whether a key was ever made; asks the database at intervals until one was. While the database is slow or
   * unavailable, the last answer holds. That is safe: without the database no tenant's data can be served.
   */
  async areThere(): Promise<boolean> {
    const isDue = performance.now() - this.#checkedAt >= this.#options.checkEveryMs;
    if (!this.#areThere && isDue) {
      const checking = (this.#checking ??= this.#check());
      await (this.#checkedAt === -Infinity
        ? checking
        : pTimeout(checking, { milliseconds: patienceMs, message: false }));
    }
    return this.#areThere;
  }

  /** The last answer of `areThere`, without waiting; starts a new query when one is due. */
  get wereThere(): boolean {
    this.areThere().catch(() => undefined);
    return this.#areThere;
  }

  /** Empties the cache, because this process has just changed a key. */
  forget(): void {
    this.#remembered.clear();
    this.#checkedAt = -Infinity;
  }

  async #check(): Promise<void> {
    try {
      this.#areThere = await this.#options.keys.hasKeys();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    } finally {
      this.#checkedAt = performance.now();
      this.#checking = undefined;
    }
  }
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
