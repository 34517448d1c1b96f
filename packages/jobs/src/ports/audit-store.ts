import { type Json } from "../job/job.ts";
import { type Principal } from "./principal.ts";

/** The person, or the command line, that makes a change. */
export interface Actor {
  keyName: string;
  /** The tenant of the key; `null` = no tenant, as for the command line. */
  tenantId: string | null;
}

export function actorOf({ keyName, tenant }: Principal): Actor {
  return { keyName, tenantId: tenant.id };
}

/** A change that a person made. Changes of jobs are events of the jobs instead, except for removals. */
export interface NewAuditEvent {
  by: Actor;
  /** In past tense and kebab-case: `server-drained`, `key-added`, `job-removed`. */
  action: string;
  /** The tenant whose resource was changed; absent = the change concerns the farm. */
  tenantId?: string;
  /** The resource that was changed; never a removed job. */
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

/** Reads, for operators, what people changed. @throws StoreUnavailableError */
export interface AuditStore {
  /** Newest first, beginning after the event that `cursor` names. */
  listEvents(page: {
    limit: number;
    cursor?: string;
  }): Promise<{ items: AuditEvent[]; nextCursor: string | null }>;
}
