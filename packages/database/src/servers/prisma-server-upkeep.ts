import { type ServerUpkeep } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";

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
}
