import { type Actor, type FarmPause, type FarmStore } from "@genga/jobs";
import { recordAuditEvent } from "../tenants/audit-events.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/** A part of the condition of every claim. */
export const farmIsPaused = Prisma.sql`EXISTS (SELECT FROM farm_pauses)`;

/** The pause of the farm: a row that exists while the farm is paused. */
export class PrismaFarmStore implements FarmStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  findPause(): Promise<FarmPause | null> {
    return withMappedErrors(async () => {
      const row = await this.#database.farmPause.findFirst();
      return row === null ? null : { pausedAt: row.pausedAt, pausedBy: row.pausedBy };
    });
  }

  pause(by: Actor): Promise<FarmPause> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const { count } = await transaction.farmPause.createMany({
          data: [{ pausedBy: by.keyName }],
          skipDuplicates: true,
        });
        if (count > 0) await recordAuditEvent(transaction, { by, action: "farm-paused" });
        const { pausedAt, pausedBy } = await transaction.farmPause.findUniqueOrThrow({
          where: { isFarm: true },
        });
        return { pausedAt, pausedBy };
      }),
    );
  }

  resume(by: Actor): Promise<boolean> {
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        const { count } = await transaction.farmPause.deleteMany();
        if (count > 0) await recordAuditEvent(transaction, { by, action: "farm-resumed" });
        return count > 0;
      }),
    );
  }
}
