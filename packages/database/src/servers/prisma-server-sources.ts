import {
  type Actor,
  type AddedServer,
  type NewAddedServer,
  type ServerLease,
  type ServerRecord,
  type ServerSourcesStore,
  toStorableText,
} from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";
import { addServer, forgetRemoved, listAdded, removeAdded, revisionOfAdded } from "./added-servers.ts";
import { isOwned, leaseRows } from "./owned-servers.ts";
import { comesAndGoes, hasJobs, isAdded, isNamed } from "./server-conditions.ts";
import { recordFromRow, serverColumns, type ServerRow } from "./server-rows.ts";

const forgottenAtOnce = 1_000;

/** What the sources of servers keep in PostgreSQL. */
export class PrismaServerSources implements ServerSourcesStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  letGoServer(workerId: string, lease: ServerLease, leaseMs: number): Promise<boolean> {
    return withMappedErrors(async () => {
      const changed = await this.#database.$executeRaw`
        WITH held AS (
          SELECT server.id, ${isAdded} OR EXISTS (${isNamed(leaseMs)} AND workers.id <> ${workerId}) AS "isNamed"
          FROM servers server JOIN ${leaseRows([lease])} ON ${isOwned}
          WHERE server.lease_owner = ${workerId} AND NOT ${hasJobs}
          FOR NO KEY UPDATE OF server
        )
        UPDATE servers SET lease_owner = NULL, lease_expires_at = NULL, state = 'unknown', state_reason = NULL,
          state_since = now(),
          removed_at = CASE WHEN held."isNamed" THEN removed_at ELSE now() END,
          definitions_hash = CASE WHEN held."isNamed" THEN definitions_hash END
        FROM held WHERE servers.id = held.id`;
      return changed === 1;
    });
  }

  listLeftBehind(leaseMs: number): Promise<ServerRecord[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<ServerRow[]>`
        SELECT ${serverColumns} FROM servers server
        WHERE ${comesAndGoes}
          AND coalesce(server.lease_expires_at <= now(), true) AND ${hasJobs} AND NOT EXISTS (${isNamed(leaseMs)})
        ORDER BY server.id`;
      return rows.map(recordFromRow);
    });
  }

  removeUnnamed({ leaseMs, seenWithinMs }: { leaseMs: number; seenWithinMs: number }): Promise<number> {
    return withMappedErrors(async () => {
      const removed = await this.#database.$executeRaw`
        WITH unnamed AS (
          SELECT server.id FROM servers server
          WHERE ${comesAndGoes} AND server.removed_at IS NULL AND NOT ${isAdded}
            AND coalesce(server.lease_expires_at <= now(), true) AND NOT ${hasJobs}
            -- A worker of an earlier version does not report which servers it names, so it counts as naming all.
            AND NOT EXISTS (
              SELECT FROM workers WHERE (server_ids = '{}' OR server.id = ANY(server_ids))
                AND last_seen_at > now() - ${Math.max(leaseMs, seenWithinMs)}::float8 * interval '1 millisecond')
          ORDER BY server.id FOR NO KEY UPDATE OF server SKIP LOCKED
        )
        UPDATE servers SET removed_at = now(), definitions_hash = NULL, lease_owner = NULL, lease_expires_at = NULL,
          state = 'unknown', state_reason = NULL, state_since = now()
        FROM unnamed WHERE servers.id = unnamed.id`;
      await forgetRemoved(this.#database);
      // Another machine may have an address that comes back, and no recycling waits for that one.
      await this.#database.$executeRaw`
        DELETE FROM server_upkeep upkeep USING servers server
        WHERE server.id = upkeep.server_id AND server.removed_at IS NOT NULL AND server.resolved_from IS NOT NULL`;
      return removed;
    });
  }

  forgetServers(unlistedMs: number): Promise<number> {
    return withMappedErrors(
      () => this.#database.$executeRaw`
        DELETE FROM servers WHERE id IN (
          SELECT server.id FROM servers server
          WHERE server.removed_at < now() - ${unlistedMs}::float8 * interval '1 millisecond'
            AND coalesce(server.lease_expires_at <= now(), true) AND NOT ${isAdded}
            AND NOT EXISTS (SELECT FROM job_attempts WHERE job_attempts.server_id = server.id)
            AND NOT EXISTS (SELECT FROM prompts_to_forget WHERE prompts_to_forget.server_id = server.id)
            AND NOT EXISTS (SELECT FROM workers WHERE server.id = ANY(server_ids))
          ORDER BY server.removed_at LIMIT ${forgottenAtOnce} FOR UPDATE SKIP LOCKED)`,
    );
  }

  addServer(
    server: NewAddedServer,
    by: Actor,
    limits: { leaseMs: number; countMax: number },
  ): Promise<{ id: string } | "taken" | "full"> {
    return withMappedErrors(() => addServer(this.#database, server, by, limits));
  }

  removeAdded(serverId: string, by: Actor): Promise<boolean> {
    return withMappedErrors(() => removeAdded(this.#database, serverId, by));
  }

  listAdded(): Promise<AddedServer[]> {
    return withMappedErrors(() => listAdded(this.#database));
  }

  revisionOfAdded(): Promise<string> {
    return withMappedErrors(() => revisionOfAdded(this.#database));
  }

  setServersProblem(workerId: string, problem: string | null): Promise<void> {
    return withMappedErrors(async () => {
      await this.#database.worker.updateMany({
        where: { id: workerId },
        data: { serversProblem: problem === null ? null : toStorableText(problem) },
      });
    });
  }
}
