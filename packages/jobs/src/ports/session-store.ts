import { type Actor } from "./audit-store.ts";
import { type Principal } from "./principal.ts";
import { type Tenant } from "./tenant-store.ts";

/** A sign-in with a key. The token that stands for the session is not stored, only a hash of it. */
export interface Session {
  id: string;
  tenant: Tenant;
  /** The name of the key at the sign-in. */
  keyName: string;
  createdAt: Date;
  /** To the minute. */
  lastUsedAt: Date;
  /** The session ends then unless it is used before. */
  idleUntil: Date;
  /** The session ends then, however often it is used. */
  expiresAt: Date;
}

export interface NewSession {
  principal: Principal;
  /** The key as it was sent. */
  key: string;
  /** The key is one of API_KEYS, so the database does not know it. */
  isConfigured: boolean;
  idleMs: number;
  lifetimeMs: number;
}

/** A session that may be used now. */
export interface FoundSession {
  session: Session;
  /** What its key may do now: a created key's principal, or the SHA-256 (hex) of a key of API_KEYS. */
  key: { principal: Principal } | { configuredHash: string };
  /** How long it goes on at most if it is not used again. */
  validForMs: number;
}

/**
 * The sessions of browsers. A session lives as long as the value of the key that it was opened with works, and it is used.
 * Each change is recorded as an audit event in the same transaction. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface SessionStore {
  /**
   * Opens a session. Of the sessions of one key at most 500 are kept, those that were used last.
   * @returns the session with its token, which is told only here; `null` = the key does not work any more
   */
  openSession(session: NewSession, by: Actor): Promise<{ session: Session; token: string } | null>;
  /**
   * The session of this token, if it lives and its key works. Records the use.
   * @param configuredHashes SHA-256 (hex) of the keys of API_KEYS
   */
  findSession(
    token: string,
    configuredHashes: readonly string[],
    idleMs: number,
  ): Promise<FoundSession | null>;
  /** Those of these tokens whose sessions live. Of sessions of API_KEYS the key is not checked. Records no use. */
  findLiving(tokens: readonly string[]): Promise<string[]>;
  /** Those that live, the last used first, at most 1,000. Of sessions of API_KEYS the key is not checked. */
  listSessions(): Promise<Session[]>;
  /** Ends the sessions of these tokens, each in its own name. */
  signOut(tokens: readonly string[]): Promise<void>;
  /** False = there is no such session. */
  endSession(id: string, by: Actor): Promise<boolean>;
}
