import { type Actor } from "./audit-store.ts";
import { roles, type Principal, type Role } from "./principal.ts";
import { type Tenant } from "./tenant-store.ts";

/** A key that an operator created. Its secret value is not stored, only a hash of it. */
export interface AccessKey {
  id: string;
  tenant: Tenant;
  /** Unique among keys that are not revoked. */
  name: string;
  role: Role;
  createdAt: Date;
  revokedAt: Date | null;
  /** To the minute; `null` = never used. */
  lastUsedAt: Date | null;
  /** After a rotation: until when the old value goes on working. */
  previousValidUntil: Date | null;
}

/** A key with its secret value, which is returned only when it is made. */
export interface ToldKey {
  accessKey: AccessKey;
  key: string;
}

export interface NewAccessKey {
  tenantName: string;
  name: string;
  role: Role;
}

/** Another working key has this name. */
export class KeyNameTakenError extends Error {
  override readonly name = "KeyNameTakenError";

  constructor(keyName: string) {
    super(`There is a key "${keyName}" already; revoke it first, or rotate it.`);
  }
}

/**
 * The keys that operators created. Each change is recorded as an audit event in the same transaction. Every method
 * throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface KeyStore {
  /** Whether a key was ever created. From then on requests need a key, even if all keys are revoked. */
  hasKeys(): Promise<boolean>;
  /**
   * The principal of this key, and how long the key stays valid at most (`null` = until it is revoked). Records the
   * use.
   */
  findPrincipal(key: string): Promise<{ principal: Principal; validForMs: number | null } | null>;
  /** Those of these keys that work now. Records no use. */
  findWorkingKeys(keys: readonly string[]): Promise<string[]>;
  /** Newest first, at most 1,000. */
  listKeys(): Promise<AccessKey[]>;
  /** Creates the tenant if it does not exist. @throws KeyNameTakenError */
  addKey(key: NewAccessKey, by: Actor): Promise<ToldKey>;
  /**
   * Gives the key a new secret value. The old value goes on working for `overlapMs`, but never longer than an earlier
   * rotation allowed. `null` = there is no such key, or it is revoked.
   */
  rotateKey(id: string, overlapMs: number, by: Actor): Promise<ToldKey | null>;
  /** `null` = there is no such key. Revoking a revoked key changes nothing. */
  revokeKey(id: string, by: Actor): Promise<AccessKey | null>;
  /** Removes copies of API_KEYS that earlier versions stored and that were not used for a day; returns how many. */
  removeCopies(): Promise<number>;
}

/** A name of a key has no colon, so that it differs from all names of keys of API_KEYS. */
export function isKeyName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/.test(text);
}

/** No tenant may be named after a role, since then entries of API_KEYS could be misread. */
export function isTenantName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(text) && !roles.some((role) => role === text);
}
