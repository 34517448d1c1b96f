import { type Tenant } from "./tenant-store.ts";

/** The roles of keys; each role may also do everything that the roles before it may. */
export const roles = ["read", "submit", "operate"] as const;
export type Role = (typeof roles)[number];

/** The sender of a request, as its key identifies it. */
export interface Principal {
  tenant: Tenant;
  role: Role;
  /** The name of the key, for events and logs; never the key itself. */
  keyName: string;
}

/** Whether a key of this role may do what needs the role `needed`. */
export function roleIncludes(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}
