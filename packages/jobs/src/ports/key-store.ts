import { type Actor } from "./audit-store.ts";
import { roles, type Principal, type Role } from "./principal.ts";
import { type Tenant } from "./tenant-store.ts";

/** A key that an operator made; what is sent as it is known to whoever got it, and to nobody here. */
export interface AccessKey {
  id: string;
  tenant: Tenant;
  /** Unique among keys that are not revoked. */
  name: string;
  role: Role;
  createdAt: Date;
  revokedAt: Date | null;
  /** To the minute; `null` = never yet. */
  lastUsedAt: Date | null;
  /** After a rotation: until when what was sent before is taken as well. */
  previousValidUntil: Date | null;
}

/** The only time that what is to be sent as the key is told. */
export interface ToldKey {
  accessKey: AccessKey;
  key: string;
}

export interface NewAccessKey {
  tenantName: string;
  name: string;
  role: Role;
}

/** Another key that works has this name. */
export class KeyNameTakenError extends Error {
  override readonly name = "KeyNameTakenError";

  constructor(keyName: string) {
    super(`There is a key "${keyName}" already; revoke it first, or rotate it.`);
  }
}

/**
 * The keys that operators made. Each change is recorded as an audit event in the same transaction.
 * Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface KeyStore {
  /** Whether a key was ever made. From then on keys are asked for, also when all are revoked. */
  hasKeys(): Promise<boolean>;
  /** Who sends this, and for how long that holds at most (`null` = until the key is revoked); notes its use. */
  findPrincipal(key: string): Promise<{ principal: Principal; validForMs: number | null } | null>;
  /** Those of these keys, as they are sent, that work now; notes no use. */
  findWorkingKeys(keys: readonly string[]): Promise<string[]>;
  /** Newest first, at most 1,000. */
  listKeys(): Promise<AccessKey[]>;
  /** Makes the tenant where it is missing. @throws KeyNameTakenError */
  addKey(key: NewAccessKey, by: Actor): Promise<ToldKey>;
  /**
   * Has the key be sent in a new way from now on; what was sent before is taken for `overlapMs` more, and never for longer
   * than an earlier rotation said. `null` = there is no such key, or it is revoked.
   */
  rotateKey(id: string, overlapMs: number, by: Actor): Promise<ToldKey | null>;
  /** `null` = there is no such key. To revoke it again changes nothing. */
  revokeKey(id: string, by: Actor): Promise<AccessKey | null>;
  /** Removes copies of API_KEYS that earlier versions made and that have been of no use for a day; returns how many. */
  removeCopies(): Promise<number>;
}

/** Nothing that could be taken for the name of a key of API_KEYS, which has a colon. */
export function isKeyName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/.test(text);
}

/** A tenant that is named as a role is would make entries of API_KEYS look like keys of that role. */
export function isTenantName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(text) && !roles.some((role) => role === text);
}
