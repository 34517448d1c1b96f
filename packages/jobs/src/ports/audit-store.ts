import { type Json } from "../job/job.ts";
import { type Principal } from "./principal.ts";

/** Who changes something. */
export interface Actor {
  keyName: string;
  /** Whose key it is; `null` = no tenant's, such as the command line's. */
  tenantId: string | null;
}

export function actorOf({ keyName, tenant }: Principal): Actor {
  return { keyName, tenantId: tenant.id };
}

/** A change that a person made, beside those of jobs that are still there: job events have those. */
export interface NewAuditEvent {
  by: Actor;
  /** Past tense, kebab-case: `server-drained`, `key-added`, `job-removed`. */
  action: string;
  /** Whose things were changed; absent = the farm's. */
  tenantId?: string;
  /** What was changed; never a job that is removed. */
  subject?: string;
  details?: Record<string, Json>;
}

export interface AuditEvent {
  id: string;
  createdAt: Date;
  keyName: string;
  keyTenantId: string | null;
  tenantId: string | null;
  action: string;
  subject: string | null;
  details: Record<string, Json>;
}

/** What people changed, for operators. @throws StoreUnavailableError */
export interface AuditStore {
  /** Newest first, from before the event `cursor` on. */
  listEvents(page: {
    limit: number;
    cursor?: string;
  }): Promise<{ items: AuditEvent[]; nextCursor: string | null }>;
}
