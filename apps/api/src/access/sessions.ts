import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { isKeyName, type Actor, type Principal, type Session, type SessionStore } from "@genga/jobs";
import { type SessionSettings } from "@genga/runtime";
import { type ConfiguredKeys } from "./configured-keys.ts";
import { RefusedError } from "../http/problem-document.ts";
import { type WrongKeys } from "./wrong-keys.ts";

export interface SessionsOptions {
  store: SessionStore;
  configuredKeys: ConfiguredKeys;
  settings: SessionSettings;
  /** Slows down clients that send many different tokens: nobody guesses one, but each costs a query. */
  unknownTokens: WrongKeys;
  /** How long a session that was found counts as living without another query. An ended one may work this long here. */
  rememberMs: number;
}

/** A session, and what its key may do now. */
export interface KnownSession {
  readonly session: Session;
  readonly principal: Principal;
}

const rememberedMax = 1_000;
const unknownMax = 10_000;

/**
 * Who signed in with a key. Sessions that were found are cached for a while. A token without a session never gets one
 * later, so it is looked up only once.
 */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #remembered = new LRUCache<string, { known: KnownSession; until: number }>({ max: rememberedMax });
  /** Hashes of tokens. */
  readonly #unknown = new LRUCache<string, true>({ max: unknownMax });

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * The session of these tokens. Of several none counts: another page may have set a cookie beside the person's own, so that
   * the person would work in a stranger's name.
   * @param address of the client
   * @throws RefusedError `too-many-wrong-keys`; StoreUnavailableError
   */
  async find(
    tokens: readonly string[],
    address: string,
  ): Promise<(KnownSession & { token: string }) | undefined> {
    const held: number[] = [];
    const found: (KnownSession & { token: string })[] = [];
    for (const token of tokens) {
      const known = await this.#find(token, address);
      if (typeof known === "object") found.push({ ...known, token });
      else if (known !== undefined) held.push(known);
    }
    if (found.length > 0) return found.length === 1 ? found[0] : undefined;
    if (held.length === 0) return undefined;
    throw new RefusedError(
      "too-many-wrong-keys",
      "Too many cookies without a session came from this address; this one was not checked.",
      { headers: { "retry-after": String(Math.max(...held)) } },
    );
  }

  /**
   * Which of these tokens, whose sessions were found here before, still work; asks the database. @throws
   * StoreUnavailableError
   */
  async findWorking(tokens: readonly string[]): Promise<ReadonlySet<string>> {
    if (tokens.length === 0) return new Set();
    const working = new Set(await this.#options.store.findLiving(tokens));
    for (const token of tokens) if (!working.has(token)) this.#remembered.delete(hashOf(token));
    return working;
  }

  /**
   * Opens a session with a key of this principal, for a client at this address. `null` = the key does not work any more. @throws
   * StoreUnavailableError
   */
  async open(
    principal: Principal,
    key: string,
    address: string,
  ): Promise<{ session: Session; token: string } | null> {
    const { store, configuredKeys, settings, unknownTokens } = this.#options;
    const isConfigured = configuredKeys.find(key) !== undefined;
    const by = { keyName: principal.keyName, tenantId: principal.tenant.id };
    const opened = await store.openSession({ principal, key, isConfigured, ...settings }, by);
    if (opened !== null) unknownTokens.noteRight(address, opened.token);
    return opened;
  }

  /**
   * Those that go on, of all tenants. Sessions of keys that API_KEYS does not name any more are left out: they work
   * nowhere. @throws StoreUnavailableError
   */
  async list(): Promise<Session[]> {
    const { store, configuredKeys } = this.#options;
    const sessions = await store.listSessions();
    // Names of created keys differ from those of API_KEYS.
    return sessions.filter(({ keyName }) => isKeyName(keyName) || configuredKeys.hasName(keyName));
  }

  /** Ends the sessions of these tokens. @throws StoreUnavailableError */
  async signOut(tokens: readonly string[]): Promise<void> {
    if (tokens.length === 0) return;
    await this.#options.store.signOut(tokens);
    this.forget();
  }

  /** False = there is no such session. @throws StoreUnavailableError */
  async end(id: string, by: Actor): Promise<boolean> {
    const isEnded = await this.#options.store.endSession(id, by);
    this.forget();
    return isEnded;
  }

  /** Empties the cache, because this process has just ended sessions, or changed a key. */
  forget(): void {
    this.#remembered.clear();
  }

  /** @returns the session; undefined = there is none; a number = it is looked up in so many seconds at the earliest */
  async #find(token: string, address: string): Promise<KnownSession | number | undefined> {
    const hash = hashOf(token);
    if (this.#unknown.get(hash) === true) return undefined;
    const remembered = this.#remembered.get(hash);
    if (remembered !== undefined && remembered.until > performance.now()) return remembered.known;
    this.#remembered.delete(hash);
    const { store, configuredKeys, settings, rememberMs, unknownTokens } = this.#options;
    const seconds = unknownTokens.secondsToWait(address, token);
    if (seconds > 0) return seconds;
    const found = await store.findSession(token, configuredKeys.hashes, settings.idleMs);
    if (found === null) {
      unknownTokens.noteWrong(address);
      unknownTokens.forget(address, token);
      this.#unknown.set(hash, true);
      return undefined;
    }
    unknownTokens.noteRight(address, token);
    const { session, key, validForMs } = found;
    const principal = "principal" in key ? key.principal : configuredKeys.findByHash(key.configuredHash);
    if (principal === undefined) return undefined;
    const known = { session, principal };
    this.#remembered.set(hash, { known, until: performance.now() + Math.min(rememberMs, validForMs) });
    return known;
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
