import { type Actor, type LanePause, type LanePauses } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { recordAuditEvent } from "../tenants/audit-events.ts";

/** A part of the condition of every claim, for the table `jobs` named `job`. */
export const laneIsPaused = Prisma.sql`EXISTS (
  SELECT FROM lanes WHERE lanes.name = job.lane AND lanes.paused_at IS NOT NULL)`;

/** The pauses of lanes, in the rows of the table `lanes`. */
export class PrismaLanePauses implements LanePauses {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  pauseLane(name: string, by: Actor): Promise<LanePause | null> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const changed = await transaction.$executeRaw`
          UPDATE lanes SET paused_at = now(), paused_by = ${by.keyName} WHERE name = ${name} AND paused_at IS NULL`;
        if (changed === 1) await recordAuditEvent(transaction, { by, action: "lane-paused", subject: name });
        const lane = await transaction.lane.findUnique({ where: { name } });
        const { pausedAt = null, pausedBy = null } = lane ?? {};
        return pausedAt === null || pausedBy === null ? null : { pausedAt, pausedBy };
      }),
    );
  }

  resumeLane(name: string, by: Actor): Promise<boolean> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const changed = await transaction.$executeRaw`
          UPDATE lanes SET paused_at = NULL, paused_by = NULL WHERE name = ${name} AND paused_at IS NOT NULL`;
        if (changed === 1) await recordAuditEvent(transaction, { by, action: "lane-resumed", subject: name });
        return changed === 1 || (await transaction.lane.count({ where: { name } })) === 1;
      }),
    );
  }
}
