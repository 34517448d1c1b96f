import {
  type Actor,
  type NewServer,
  type ServerAbilities,
  type ServerDevice,
  type ServerLease,
  type ServerModel,
  type ServerRecord,
  type ServerState,
  type ServerStore,
  type StoredDefinitions,
  type TakenServer,
  type WorkerRecord,
  toStorableText,
} from "@genga/jobs";
import { v7 as uuidv7, validate as isUuid } from "uuid";
import { leaseEnd } from "../connection/lease-end.ts";
import { cleanServerUrls, withoutUserInfo } from "./clean-server-urls.ts";
import { recordAuditEvent } from "../tenants/audit-events.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type Statements } from "../connection/plain-statements.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toStoredJson } from "../connection/stored-json.ts";
import { nameDefinitions, saveDefinitions } from "./node-definitions.ts";
import { isOwned, leaseRows } from "./owned-servers.ts";
import { isListed } from "./server-conditions.ts";
import { recordFromRow, serverColumns, type ServerRow } from "./server-rows.ts";

/** Rows of workers that were not seen for this long are removed. */
const forgetWorkersAfter = Prisma.sql`interval '1 day'`;

/** Whether a row of `workers` is alive. */
function isAlive(leaseMs: number): Prisma.Sql {
  return Prisma.sql`(workers.stopped_at IS NULL AND ${wasSeenWithin(leaseMs)})`;
}

function wasSeenWithin(durationMs: number): Prisma.Sql {
  return Prisma.sql`workers.last_seen_at > now() - ${durationMs}::float8 * interval '1 millisecond'`;
}

/** Of a new server, unless it is said. */
const unsaid = { labels: [], source: "setting", resolvedFrom: null, credential: null };

/** How many sets of definitions one statement removes; each has megabytes. */
const removedAtOnce = 20;

/** Servers and workers in PostgreSQL. Leases use the database's clock. */
export class PrismaServerStore implements ServerStore {
  readonly #database: PrismaClient;
  /** For renewals of leases, which must not wait behind other statements. */
  readonly #renewals: Statements;
  /** For node definitions, which are megabytes. */
  readonly #statements: Statements;

  constructor(options: { database: PrismaClient; statements: Statements; renewals: Statements }) {
    this.#database = options.database;
    this.#statements = options.statements;
    this.#renewals = options.renewals;
  }

  cleanServerUrls(identityOf: (url: string) => string): Promise<number> {
    return withMappedErrors(() => cleanServerUrls(this.#database, identityOf));
  }

  registerServers(servers: NewServer[]): Promise<ServerRecord[]> {
    return withMappedErrors(async () => {
      const byUrl = new Map(
        servers.map(({ url, ...server }) => [
          withoutUserInfo(url),
          { ...unsaid, ...server, url: withoutUserInfo(url) },
        ]),
      );
      const rows = [...byUrl.values()].map((server) => ({ ...server, id: uuidv7() }));
      await this.#database.$executeRaw`
        INSERT INTO servers (id, url, slots, labels, source, resolved_from, credential)
        SELECT id, url, slots, labels, source, "resolvedFrom", credential
        FROM jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS new(id uuid, url text, slots int, labels text[],
          source server_source, "resolvedFrom" text, credential text)
        ORDER BY url
        ON CONFLICT (url) DO UPDATE SET slots = excluded.slots, labels = excluded.labels, source = excluded.source,
          resolved_from = excluded.resolved_from, credential = excluded.credential, removed_at = NULL,
          -- Another machine may have an address that comes back: what was asked of the last one does not count for it.
          draining = servers.draining AND (servers.removed_at IS NULL OR excluded.resolved_from IS NULL)
        WHERE servers.removed_at IS NOT NULL
          OR (servers.slots, servers.labels, servers.source, servers.resolved_from, servers.credential) IS DISTINCT FROM
            (excluded.slots, excluded.labels, excluded.source, excluded.resolved_from, excluded.credential)`;
      const known = new Map((await this.#read()).map((server) => [server.url, server]));
      return [...byUrl.keys()].flatMap((url) => known.get(url) ?? []);
    });
  }

  renewWorker(
    workerId: string,
    serverIds: string[],
    leaseMs: number,
    statusUrl: string | null = null,
  ): Promise<number> {
    return withMappedErrors(async () => {
      const [row] = await this.#renewals.$queryRaw<{ alive: number }[]>`
        WITH own AS (
          INSERT INTO workers (id, server_ids, status_url) VALUES (${workerId}, ${serverIds}::uuid[], ${statusUrl})
          ON CONFLICT (id) DO UPDATE SET last_seen_at = now(), server_ids = excluded.server_ids, stopped_at = NULL,
            status_url = excluded.status_url
        ), gone AS (
          DELETE FROM workers WHERE id IN (
            SELECT id FROM workers WHERE last_seen_at < now() - ${forgetWorkersAfter} AND id <> ${workerId}
            FOR UPDATE SKIP LOCKED)
        )
        SELECT 1 + count(*)::int AS alive FROM workers
        WHERE id <> ${workerId} AND ${isAlive(leaseMs)}`;
      return row?.alive ?? 1;
    });
  }

  listLiveWorkers(leaseMs: number): Promise<WorkerRecord[]> {
    return withMappedErrors(async () => this.#readWorkers(leaseMs, isAlive(leaseMs)));
  }

  listRecentWorkers(leaseMs: number, seenWithinMs: number): Promise<WorkerRecord[]> {
    return withMappedErrors(async () =>
      this.#readWorkers(leaseMs, wasSeenWithin(Math.max(leaseMs, seenWithinMs))),
    );
  }

  stopWorker(workerId: string): Promise<void> {
    return withMappedErrors(async () => {
      await this.#database.$executeRaw`UPDATE workers SET stopped_at = now() WHERE id = ${workerId}`;
    });
  }

  acquireServers(
    workerId: string,
    serverIds: string[],
    limit: number,
    leaseMs: number,
    { alsoExpired } = { alsoExpired: true },
  ): Promise<TakenServer[]> {
    return withMappedErrors(async () => {
      if (serverIds.length === 0 || limit <= 0) return [];
      const servers = await this.#database.$queryRaw<(ServerRow & { isBeingRecycled: boolean })[]>`
        WITH free AS (
          SELECT id FROM servers
          WHERE id = ANY(${serverIds}::uuid[])
            AND (lease_expires_at IS NULL OR ${alsoExpired}::boolean AND lease_expires_at <= now())
          ORDER BY id LIMIT ${limit} FOR NO KEY UPDATE SKIP LOCKED
        ), server AS (
          UPDATE servers SET lease_owner = ${workerId}, lease_number = lease_number + 1,
            lease_expires_at = ${leaseEnd(leaseMs)}, removed_at = NULL
          FROM free WHERE servers.id = free.id
          RETURNING servers.*
        )
        SELECT ${serverColumns}, upkeep.recycle_begun_at IS NOT NULL AS "isBeingRecycled"
        FROM server LEFT JOIN server_upkeep upkeep ON upkeep.server_id = server.id ORDER BY server.id`;
      return servers.map(({ isBeingRecycled, ...server }) => ({
        serverId: server.id,
        leaseNumber: server.leaseNumber,
        server: recordFromRow(server),
        isBeingRecycled,
      }));
    });
  }

  renewServers(workerId: string, leases: ServerLease[], leaseMs: number): Promise<ServerLease[]> {
    return withMappedErrors(async () => {
      if (leases.length === 0) return [];
      return await this.#renewals.$queryRaw<ServerLease[]>`
        WITH held AS (${this.#held(workerId, leases)})
        UPDATE servers SET lease_expires_at = ${leaseEnd(leaseMs)} FROM held WHERE servers.id = held.id
        RETURNING servers.id AS "serverId", servers.lease_number AS "leaseNumber"`;
    });
  }

  releaseServers(workerId: string, leases: ServerLease[]): Promise<void> {
    return withMappedErrors(async () => {
      if (leases.length === 0) return;
      await this.#database.$executeRaw`
        WITH held AS (${this.#held(workerId, leases)})
        UPDATE servers SET lease_owner = NULL, lease_expires_at = NULL,
          -- The next owner reads from 'leaving' that prompts which are gone were ended with the server, on purpose.
          state = CASE WHEN state = 'leaving' THEN state ELSE 'unknown' END, state_reason = NULL, state_since = now()
        FROM held WHERE servers.id = held.id`;
    });
  }

  setServerState(lease: ServerLease, state: ServerState, reason: string | null): Promise<boolean> {
    return withMappedErrors(async () => {
      const changed = await this.#database.$executeRaw`
        UPDATE servers server SET state = ${state}::server_state, state_reason = ${storedOrNull(reason)},
          state_since = CASE WHEN server.state = ${state}::server_state THEN server.state_since ELSE now() END
        FROM ${leaseRows([lease])} WHERE ${isOwned}`;
      return changed === 1;
    });
  }

  recordModel(lease: ServerLease, { lane, loadedModel, modelSince }: ServerModel): Promise<boolean> {
    return withMappedErrors(async () => {
      const changed = await this.#database.$executeRaw`
        UPDATE servers server SET lane = ${lane}, loaded_model = ${storedOrNull(loadedModel)},
          model_since = ${modelSince}::timestamptz
        FROM ${leaseRows([lease])} WHERE ${isOwned}`;
      return changed === 1;
    });
  }

  recordDevices(lease: ServerLease, devices: readonly ServerDevice[]): Promise<boolean> {
    return withMappedErrors(async () => {
      const changed = await this.#database.$executeRaw`
        UPDATE servers server SET devices = ${toStoredJson(devices)}::jsonb
        FROM ${leaseRows([lease])} WHERE ${isOwned}`;
      return changed === 1;
    });
  }

  describeServer(
    lease: ServerLease,
    { version, abilities }: { version: string | null; abilities: ServerAbilities },
  ): Promise<boolean> {
    return withMappedErrors(async () => {
      const changed = await this.#database.$executeRaw`
        UPDATE servers server SET version = ${storedOrNull(version)}, abilities = ${toStoredJson(abilities)}::jsonb
        FROM ${leaseRows([lease])} WHERE ${isOwned}`;
      return changed === 1;
    });
  }

  saveDefinitions(lease: ServerLease, definitions: StoredDefinitions & { hash: string }): Promise<boolean> {
    return withMappedErrors(() => saveDefinitions(this.#statements, lease, definitions));
  }

  nameDefinitions(lease: ServerLease, hash: string): Promise<"named" | "not-stored" | "not-held"> {
    return withMappedErrors(() => nameDefinitions(this.#statements, lease, hash));
  }

  removeUnusedDefinitions(unusedMs: number): Promise<number> {
    return withMappedErrors(
      () => this.#database.$executeRaw`
        DELETE FROM node_definitions WHERE hash IN (
          SELECT hash FROM node_definitions unused
          WHERE last_named_at < now() - ${unusedMs}::float8 * interval '1 millisecond'
            AND NOT EXISTS (SELECT FROM servers WHERE definitions_hash = unused.hash)
          LIMIT ${removedAtOnce} FOR UPDATE SKIP LOCKED)`,
    );
  }

  listServers(): Promise<ServerRecord[]> {
    return withMappedErrors(() => this.#read());
  }

  findDefinitions(hash: string): Promise<StoredDefinitions | null> {
    return withMappedErrors(async () => {
      const [row] = await this.#statements.$queryRaw<StoredDefinitions[]>`
        SELECT object_info AS "objectInfo", replacements FROM node_definitions WHERE hash = ${hash}`;
      return row ?? null;
    });
  }

  removeServer(
    serverId: string,
    { leaseMs, seenWithinMs }: { leaseMs: number; seenWithinMs: number },
    by: Actor,
  ): Promise<"removed" | "in-use" | "absent"> {
    return withMappedErrors(async () => {
      if (!isUuid(serverId)) return "absent";
      const isRemoved = await this.#database.$transaction(async (transaction) => {
        const removed = await transaction.$executeRaw`
          UPDATE servers SET removed_at = now(), definitions_hash = NULL
          WHERE id = ${serverId}::uuid AND removed_at IS NULL AND coalesce(lease_expires_at <= now(), true)
            AND EXISTS (SELECT FROM workers WHERE ${isAlive(leaseMs)})
            AND NOT EXISTS (
              SELECT FROM workers WHERE ${wasSeenWithin(Math.max(leaseMs, seenWithinMs))}
                AND (server_ids = '{}' OR ${serverId}::uuid = ANY(server_ids)))`;
        if (removed === 1)
          await recordAuditEvent(transaction, { by, action: "server-removed", subject: serverId });
        return removed === 1;
      });
      if (isRemoved) return "removed";
      const known = (await this.#read()).find(({ id }) => id === serverId);
      return known === undefined || known.isRemoved ? "absent" : "in-use";
    });
  }

  setDraining(serverId: string, draining: boolean, by?: Actor): Promise<boolean> {
    return withMappedErrors(async () => {
      if (!isUuid(serverId)) return false;
      return await this.#database.$transaction(async (transaction) => {
        const { count } = await transaction.server.updateMany({
          where: { id: serverId, draining: !draining },
          data: { draining },
        });
        if (count === 0) return (await transaction.server.count({ where: { id: serverId } })) === 1;
        const action = draining ? "server-drained" : "server-resumed";
        if (by !== undefined) await recordAuditEvent(transaction, { by, action, subject: serverId });
        return true;
      });
    });
  }

  acquireNamedLease(name: string, ownerId: string, leaseMs: number): Promise<boolean> {
    return withMappedErrors(async () => {
      const taken = await this.#database.$executeRaw`
        INSERT INTO named_leases AS held (name, owner, expires_at) VALUES (${name}, ${ownerId}, ${leaseEnd(leaseMs)})
        ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,
          number = held.number + (held.owner <> excluded.owner)::int
        WHERE held.owner = excluded.owner OR held.expires_at <= now()`;
      return taken === 1;
    });
  }

  #readWorkers(leaseMs: number, condition: Prisma.Sql): PromiseLike<WorkerRecord[]> {
    return this.#database.$queryRaw<WorkerRecord[]>`
      SELECT id, started_at AS "startedAt", last_seen_at AS "lastSeenAt", server_ids AS "serverIds",
        status_url AS "statusUrl", servers_problem AS "serversProblem", ${isAlive(leaseMs)} AS "isAlive",
        stopped_at IS NOT NULL AS "hasStopped",
        (SELECT count(*)::int FROM jobs WHERE status = 'processing' AND lease_owner = workers.id) AS "jobsHeld",
        (SELECT count(*)::int FROM servers
          WHERE lease_owner = workers.id AND lease_expires_at > now()) AS "serversOwned"
      FROM workers WHERE ${condition} ORDER BY id`;
  }

  async #read(): Promise<ServerRecord[]> {
    const rows = await this.#database.$queryRaw<ServerRow[]>`
      SELECT ${serverColumns} FROM servers server WHERE ${isListed} ORDER BY server.id`;
    return rows.map(recordFromRow);
  }

  /** Those of this worker's servers that it holds under these leases, locked in the order of their ids. */
  #held(workerId: string, leases: ServerLease[]): Prisma.Sql {
    return Prisma.sql`
      SELECT server.id FROM servers server JOIN ${leaseRows(leases)} ON ${isOwned}
      WHERE server.lease_owner = ${workerId} ORDER BY server.id FOR NO KEY UPDATE OF server`;
  }
}

function storedOrNull(text: string | null): string | null {
  return text === null ? null : toStorableText(text);
}
