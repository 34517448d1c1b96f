import { type Lane, type LaneStore } from "@genga/jobs";
import { z } from "zod";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";

const needsSchema = z.object({
  classTypes: z.array(z.string()),
  models: z.array(z.object({ classType: z.string(), input: z.string(), name: z.string() })),
  labels: z.array(z.string()),
});

/** The table `lanes`. */
export class PrismaLaneStore implements LaneStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  findLanes(names: readonly string[]): Promise<Lane[]> {
    return withMappedErrors(async () => {
      if (names.length === 0) return [];
      const rows = await this.#database.lane.findMany({
        where: { name: { in: [...names] } },
        select: { name: true, mainModel: true, needs: true },
      });
      return rows.map(({ name, mainModel, needs }) => ({ name, mainModel, needs: needsSchema.parse(needs) }));
    });
  }
}
