import { type Tenant } from "./tenant-store.ts";

/** What a key may do; each role may also do what the ones before it may. */
export const roles = ["read", "submit", "operate"] as const;
export type Role = (typeof roles)[number];

/** Who asks. */
export interface Principal {
  tenant: Tenant;
  role: Role;
  /** Names the key in events and logs; never the key itself. */
  keyName: string;
}

/** Whether a key of this role may do what `needed` allows. */
export function roleIncludes(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}
