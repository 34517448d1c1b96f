import { type Role } from "@genga/jobs";
import { prefix } from "../http/paths.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** Who may do one thing. */
export interface AccessLine {
  readonly method: Method;
  /** Below the prefix, or from the root when it begins with a slash. GET stands for HEAD as well. */
  readonly path: string;
  /** The role that a key needs at least; `open` = everybody, without a key. */
  readonly access: "open" | Role;
  /** Only looked at, by browsers too: they may send the key as the password of Basic authentication. */
  readonly isPage?: true;
}

/**
 * Who may do what: every route has its line here. One without a line cannot be registered, so it cannot be forgotten;
 * `test/access-table.test.ts` asks each of them with every role and without a key.
 */
export const accessTable: readonly AccessLine[] = [
  { method: "GET", path: "/", access: "open" },
  { method: "GET", path: "/docs", access: "open" },
  { method: "GET", path: "/docs/redoc.js", access: "open" },
  { method: "GET", path: "/openapi.json", access: "open" },
  { method: "GET", path: "health", access: "open" },
  { method: "GET", path: "health/ready", access: "open" },

  { method: "GET", path: "job/:id", access: "read" },
  { method: "GET", path: "jobs", access: "read" },
  { method: "GET", path: "jobs/:id", access: "read" },
  { method: "GET", path: "jobs/:id/parameters", access: "read" },
  { method: "GET", path: "jobs/:id/workflow", access: "read" },
  { method: "GET", path: "jobs/:id/outputs", access: "read" },
  { method: "GET", path: "jobs/:id/attempts", access: "read" },
  { method: "GET", path: "jobs/:id/events", access: "read" },
  { method: "GET", path: "batches/:id", access: "read" },
  { method: "GET", path: "outputs/:id", access: "read" },
  { method: "GET", path: "uploads/:id", access: "read" },
  { method: "GET", path: "queue", access: "read" },
  { method: "GET", path: "servers", access: "read" },

  { method: "POST", path: "generate", access: "submit" },
  { method: "POST", path: "generate/image", access: "submit" },
  { method: "POST", path: "generate/video", access: "submit" },
  { method: "POST", path: "batches", access: "submit" },
  { method: "POST", path: "batches/:id/cancel", access: "submit" },
  { method: "POST", path: "batches/:id/retry", access: "submit" },
  { method: "POST", path: "jobs/:id/cancel", access: "submit" },
  { method: "POST", path: "jobs/:id/retry", access: "submit" },
  { method: "DELETE", path: "jobs/:id", access: "submit" },
  { method: "POST", path: "uploads", access: "submit" },

  { method: "POST", path: "servers/:id/drain", access: "operate" },
  { method: "POST", path: "servers/:id/resume", access: "operate" },
  { method: "DELETE", path: "servers/:id", access: "operate" },
  { method: "GET", path: "workers", access: "operate" },
  { method: "POST", path: "farm/pause", access: "operate" },
  { method: "POST", path: "farm/resume", access: "operate" },
  { method: "GET", path: "tenants/:name/limits", access: "operate" },
  { method: "PUT", path: "tenants/:name/limits", access: "operate" },
  { method: "GET", path: "keys", access: "operate" },
  { method: "POST", path: "keys", access: "operate" },
  { method: "DELETE", path: "keys/:id", access: "operate" },
  { method: "POST", path: "keys/:id/rotate", access: "operate" },
  { method: "GET", path: "audit-events", access: "operate" },
  { method: "GET", path: "/metrics", access: "operate" },
  { method: "GET", path: "/admin/queues", access: "operate", isPage: true },
];

/** A path of the table from the root on. */
export function fullPath(path: string): string {
  return path.startsWith("/") ? path : `${prefix}/${path}`;
}
