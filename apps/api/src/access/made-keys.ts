import { createHash } from "node:crypto";
import { StoreUnavailableError, type KeyStore, type Principal } from "@genga/jobs";

export interface MadeKeysOptions {
  keys: KeyStore;
  /** How long a key that was found stays good without asking the database again: revoking takes at most this long. */
  rememberMs: number;
  /** While there are no keys: how often it is looked whether there are now. */
  lookEveryMs: number;
}

const rememberedMax = 1_000;

/** A request waits so long for a look that is due, and then for its own statement alone. */
const patienceMs = 500;

/** The keys that operators made, as this process knows them: found ones are remembered for a while, wrong ones are not. */
export class MadeKeys {
  readonly #options: MadeKeysOptions;
  readonly #remembered = new Map<string, { principal: Principal; until: number }>();
  #areThere = false;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  constructor(options: MadeKeysOptions) {
    this.#options = options;
  }

  /** Who sends this key; `undefined` = nobody. @throws StoreUnavailableError */
  async find(key: string): Promise<Principal | undefined> {
    const hash = hashOf(key);
    const known = this.#remembered.get(hash);
    if (known !== undefined && known.until > performance.now()) return known.principal;
    this.#remembered.delete(hash);
    const found = await this.#options.keys.findPrincipal(key);
    if (found === null) return undefined;
    const { rememberMs } = this.#options;
    const until = performance.now() + Math.min(rememberMs, found.validForMs ?? rememberMs);
    if (this.#remembered.size >= rememberedMax) this.#remembered.clear();
    this.#remembered.set(hash, { principal: found.principal, until });
    return found.principal;
  }

  /** Which of these still work, without regard to what is remembered. @throws StoreUnavailableError */
  async findWorking(keys: readonly string[]): Promise<ReadonlySet<string>> {
    if (keys.length === 0) return new Set();
    const working = new Set(await this.#options.keys.findWorkingKeys(keys));
    for (const key of keys) if (!working.has(key)) this.#remembered.delete(hashOf(key));
    return working;
  }

  /**
   * Whether a key was ever made: looked up now and then, until there is one. While the database is slow or away the last
   * answer holds: without it there is nothing of a tenant's to be served.
   */
  async areThere(): Promise<boolean> {
    const isDue = performance.now() - this.#lookedAt >= this.#options.lookEveryMs;
    if (!this.#areThere && isDue) {
      const looking = (this.#looking ??= this.#look());
      await (this.#lookedAt === -Infinity ? looking : withinPatience(looking));
    }
    return this.#areThere;
  }

  /** As far as is known; a look is begun where one is due. */
  get wereThere(): boolean {
    this.areThere().catch(() => undefined);
    return this.#areThere;
  }

  /** This process changed a key: nothing of what it knew counts any more. */
  forget(): void {
    this.#remembered.clear();
    this.#lookedAt = -Infinity;
  }

  async #look(): Promise<void> {
    try {
      this.#areThere = await this.#options.keys.hasKeys();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
    } finally {
      this.#lookedAt = performance.now();
      this.#looking = undefined;
    }
  }
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

async function withinPatience(looking: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patienceMs);
  });
  try {
    await Promise.race([looking, patience]);
  } finally {
    clearTimeout(timer);
  }
}
