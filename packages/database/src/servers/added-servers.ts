import { type Actor, type AddedServer, type NewAddedServer } from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { type Prisma, type PrismaClient } from "../generated/client.ts";
import { recordAuditEvent } from "../tenants/audit-events.ts";
import { hasJobs, isAdded, isNamed, liveWorkers } from "./server-conditions.ts";

/** @returns `taken`: some source names it already; `full`: so many were added already */
export async function addServer(
  database: PrismaClient,
  { url, slots, labels, credential, seal }: NewAddedServer,
  by: Actor,
  { leaseMs, countMax }: { leaseMs: number; countMax: number },
): Promise<{ id: string } | "taken" | "full"> {
  return await database.$transaction(async (transaction) => {
    // Two requests at once must not both find the last place free, nor both add the same server.
    await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('added servers', 0))`;
    // One that is being retired, or was, may be added again.
    const [known] = await transaction.$queryRaw<{ isTaken: boolean }[]>`
      SELECT server.removed_at IS NULL AND (
        ${isAdded} OR server.source <> 'api' AND server.state <> 'retiring'
          AND (EXISTS (${isNamed(leaseMs)}) OR NOT EXISTS (${liveWorkers(leaseMs)}))
      ) AS "isTaken" FROM servers server WHERE server.url = ${url} FOR NO KEY UPDATE OF server`;
    if (known?.isTaken === true) return "taken";
    const [added] = await transaction.$queryRaw<{ count: number }[]>`
      SELECT count(*)::int AS count FROM added_servers WHERE removed_at IS NULL`;
    if (added === undefined || added.count >= countMax) return "full";
    const [server] = await transaction.$queryRaw<{ id: string }[]>`
      INSERT INTO servers (id, url, slots, labels, source, credential)
      VALUES (${uuidv7()}::uuid, ${url}, ${slots}, ${labels}::text[], 'api', ${credential})
      ON CONFLICT (url) DO UPDATE SET slots = excluded.slots, labels = excluded.labels, source = excluded.source,
        credential = excluded.credential, resolved_from = NULL, removed_at = NULL, draining = false
      RETURNING id`;
    if (server === undefined) throw new Error("The row of a server was not returned.");
    const { id } = server;
    const sealed = seal?.(id) ?? null;
    await transaction.$executeRaw`
      INSERT INTO added_servers (server_id, slots, labels, credential, sealed_authorization)
      VALUES (${id}::uuid, ${slots}, ${labels}::text[], ${credential}, ${sealed})
      ON CONFLICT (server_id) DO UPDATE SET slots = excluded.slots, labels = excluded.labels,
        credential = excluded.credential, sealed_authorization = excluded.sealed_authorization,
        added_at = now(), removed_at = NULL`;
    const authorization = sealed === null ? "none" : "given";
    const details = { url, slots, labels: [...labels], credential, authorization };
    await recordAuditEvent(transaction, { by, action: "server-added", subject: id, details });
    return { id };
  });
}

/**
 * Has the workers retire a server that was added. Its credentials stay until it has no jobs, so that another worker can
 * end that if its owner stops.
 * @returns false if it was not added, or is gone already; true without any change while it is being retired after that
 */
export async function removeAdded(database: PrismaClient, serverId: string, by: Actor): Promise<boolean> {
  if (!isUuid(serverId)) return false;
  return await database.$transaction(async (transaction) => {
    // In the order in which a server is added, so that the two never wait for each other.
    const [server] = await transaction.$queryRaw<{ url: string }[]>`
      SELECT url FROM servers WHERE id = ${serverId}::uuid FOR NO KEY UPDATE`;
    if (server === undefined) return false;
    const removed = await transaction.$executeRaw`
      UPDATE added_servers SET removed_at = now() WHERE server_id = ${serverId}::uuid AND removed_at IS NULL`;
    if (removed === 0) return await isBeingRemoved(transaction, serverId);
    // Without an owner nobody needs to let go of it. If another source names it, its next worker brings it back.
    await transaction.$executeRaw`
      UPDATE servers server SET removed_at = now(), definitions_hash = NULL
      WHERE server.id = ${serverId}::uuid AND server.source = 'api'
        AND coalesce(server.lease_expires_at <= now(), true) AND NOT ${hasJobs}`;
    const details = { url: server.url };
    await recordAuditEvent(transaction, { by, action: "server-removed", subject: serverId, details });
    return true;
  });
}

/** It was removed before, and ends what it has. */
async function isBeingRemoved(database: Prisma.TransactionClient, serverId: string): Promise<boolean> {
  const rows = await database.$queryRaw<unknown[]>`
    SELECT FROM added_servers added JOIN servers server ON server.id = added.server_id
    WHERE added.server_id = ${serverId}::uuid AND server.source = 'api' AND server.removed_at IS NULL`;
  return rows.length > 0;
}

/** Those that are there, and those that were removed and may still have jobs. */
export async function listAdded(database: PrismaClient): Promise<AddedServer[]> {
  return await database.$queryRaw<AddedServer[]>`
    SELECT server.id, server.url, added.slots, added.labels, added.credential,
      added.sealed_authorization AS "sealedAuthorization", added.removed_at IS NOT NULL AS "isRemoved"
    FROM added_servers added JOIN servers server ON server.id = added.server_id ORDER BY server.id`;
}

/** Every worker asks for it every few seconds. PostgreSQL gives each version of a row the number of its transaction. */
export async function revisionOfAdded(database: PrismaClient): Promise<string> {
  const [row] = await database.$queryRaw<{ revision: string }[]>`
    SELECT md5(coalesce(string_agg(concat_ws(' ', server.id, server.url, added.xmin), ' ' ORDER BY server.id), ''))
      AS revision
    FROM added_servers added JOIN servers server ON server.id = added.server_id`;
  if (row === undefined) throw new Error("The revision of the added servers was not returned.");
  return row.revision;
}

/**
 * Removes what is kept of those that were taken out and whose jobs have ended, with their credentials, also if another
 * source names the server now.
 */
export async function forgetRemoved(database: PrismaClient): Promise<void> {
  await database.$executeRaw`
    DELETE FROM added_servers added USING servers server
    WHERE server.id = added.server_id AND added.removed_at IS NOT NULL
      AND (server.removed_at IS NOT NULL OR server.source <> 'api') AND NOT ${hasJobs}`;
}
