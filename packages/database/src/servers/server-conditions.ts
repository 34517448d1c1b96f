import { Prisma } from "../generated/client.ts";

/** For EXISTS: the live workers that name the row `server`. */
export const isNamed = (leaseMs: number): Prisma.Sql => Prisma.sql`
  SELECT FROM workers WHERE stopped_at IS NULL AND server.id = ANY(server_ids)
    AND last_seen_at > now() - ${leaseMs}::float8 * interval '1 millisecond'`;

/** For EXISTS: the live workers. */
export const liveWorkers = (leaseMs: number): Prisma.Sql => Prisma.sql`
  SELECT FROM workers WHERE stopped_at IS NULL
    AND last_seen_at > now() - ${leaseMs}::float8 * interval '1 millisecond'`;

/** An operator added the row `server`, and none has taken it out again. */
export const isAdded = Prisma.sql`
  EXISTS (SELECT FROM added_servers added WHERE added.server_id = server.id AND added.removed_at IS NULL)`;

/** Sources of the row `server` may change while workers run: all but addresses of COMFYUI_URLS. */
export const comesAndGoes = Prisma.sql`(server.source <> 'setting' OR server.resolved_from IS NOT NULL)`;

/** The row `server` has jobs that have not ended. */
export const hasJobs = Prisma.sql`
  EXISTS (SELECT FROM jobs WHERE jobs.status = 'processing' AND jobs.server_id = server.id)`;

/** The row `server` is listed: it was not removed, or somebody owns it all the same. By the index `servers_listed_idx`. */
export const isListed = Prisma.sql`
  (server.removed_at IS NULL OR server.lease_expires_at IS NOT NULL)
  AND (server.removed_at IS NULL OR server.lease_expires_at > now())`;
