import { type PrismaClient } from "../generated/client.ts";

/** Removes up to `limit` notes of ended prompts that are older than `ageMs`. */
export async function removeDoorEnds(database: PrismaClient, ageMs: number, limit: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM door_ends WHERE job_id IN (
      SELECT job_id FROM door_ends WHERE ended_at <= now() - ${ageMs}::float8 * interval '1 millisecond'
      LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
}
