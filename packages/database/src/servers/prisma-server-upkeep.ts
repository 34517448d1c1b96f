import {
  type Actor,
  askedReason,
  type RecycleOutcome,
  type ServerLease,
  type ServerUpkeep,
  toStorableText,
  type UpkeepRecord,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { recordAuditEvent } from "../tenants/audit-events.ts";
import { isOwned, leaseRows } from "./owned-servers.ts";

type UpkeepRow = Omit<UpkeepRecord, "last"> & {
  recycledAt: Date | null;
  lastReason: string | null;
  lastOutcome: RecycleOutcome | null;
  lastMessage: string | null;
};

/** The server, if it is owned under this lease. */
const held = (lease: ServerLease): Prisma.Sql =>
  Prisma.sql`SELECT server.id FROM servers server JOIN ${leaseRows([lease])} ON ${isOwned} FOR NO KEY UPDATE OF server`;

/** The upkeep of servers in PostgreSQL. */
export class PrismaServerUpkeep implements ServerUpkeep {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  countProcessing(serverIds: readonly string[]): Promise<number> {
    return withMappedErrors(async () => {
      if (serverIds.length === 0) return 0;
      const [row] = await this.#database.$queryRaw<{ count: number }[]>`
        SELECT count(*)::int AS count FROM jobs
        WHERE status = 'processing' AND server_id = ANY(${serverIds}::uuid[])`;
      return row?.count ?? 0;
    });
  }

  listUpkeep(serverIds?: readonly string[]): Promise<UpkeepRecord[]> {
    return withMappedErrors(async () => {
      const among =
        serverIds === undefined ? Prisma.empty : Prisma.sql`WHERE server_id = ANY(${serverIds}::uuid[])`;
      const rows = await this.#database.$queryRaw<UpkeepRow[]>`
        SELECT server_id AS "serverId", prompts_run AS "promptsRun", recycle_reason AS "recycleReason",
          recycle_asked_at AS "recycleAskedAt", recycle_begun_at AS "recycleBegunAt", recycled_at AS "recycledAt",
          last_reason AS "lastReason", last_outcome AS "lastOutcome", last_message AS "lastMessage"
        FROM server_upkeep ${among}`;
      return rows.map(recordOf);
    });
  }

  askRecycle(serverId: string, by: Actor): Promise<boolean> {
    return withMappedErrors(async () => {
      if (!isUuid(serverId)) return false;
      return await this.#database.$transaction(async (transaction) => {
        const isKnown = (await transaction.server.count({ where: { id: serverId, removedAt: null } })) === 1;
        if (!isKnown) return false;
        const asked = await transaction.$executeRaw`
          INSERT INTO server_upkeep AS upkeep (server_id, recycle_reason, recycle_asked_at)
          VALUES (${serverId}::uuid, ${askedReason}, now())
          ON CONFLICT (server_id) DO UPDATE SET recycle_reason = excluded.recycle_reason, recycle_asked_at = now()
          WHERE upkeep.recycle_reason IS NULL`;
        if (asked === 1)
          await recordAuditEvent(transaction, { by, action: "server-recycled", subject: serverId });
        return true;
      });
    });
  }

  notePrompts(lease: ServerLease, count: number): Promise<boolean> {
    return this.#write(Prisma.sql`
      INSERT INTO server_upkeep AS upkeep (server_id, prompts_run) SELECT id, ${count}::int FROM (${held(lease)}) held
      ON CONFLICT (server_id) DO UPDATE SET prompts_run = upkeep.prompts_run + excluded.prompts_run`);
  }

  beginRecycle(lease: ServerLease, reason: string): Promise<boolean> {
    return this.#write(Prisma.sql`
      INSERT INTO server_upkeep AS upkeep (server_id, recycle_reason, recycle_asked_at, recycle_begun_at)
      SELECT id, ${reason}, now(), now() FROM (${held(lease)}) held
      ON CONFLICT (server_id) DO UPDATE SET recycle_begun_at = now(),
        recycle_reason = coalesce(upkeep.recycle_reason, excluded.recycle_reason),
        recycle_asked_at = coalesce(upkeep.recycle_asked_at, now())`);
  }

  endRecycle(
    lease: ServerLease,
    { outcome, message }: { outcome: RecycleOutcome; message: string | null },
  ): Promise<boolean> {
    const said = message === null ? null : toStorableText(message);
    return this.#write(Prisma.sql`
      UPDATE server_upkeep SET recycled_at = now(), last_reason = recycle_reason, last_outcome = ${outcome},
        last_message = ${said}, recycle_reason = NULL, recycle_asked_at = NULL, recycle_begun_at = NULL, prompts_run = 0
      FROM (${held(lease)}) held WHERE server_id = held.id AND recycle_reason IS NOT NULL`);
  }

  #write(statement: Prisma.Sql): Promise<boolean> {
    return withMappedErrors(async () => (await this.#database.$executeRaw(statement)) === 1);
  }
}

function recordOf({ recycledAt: at, lastReason, lastOutcome, lastMessage, ...row }: UpkeepRow): UpkeepRecord {
  const last =
    at === null || lastReason === null || lastOutcome === null
      ? null
      : { at, reason: lastReason, outcome: lastOutcome, message: lastMessage };
  return { ...row, last };
}
