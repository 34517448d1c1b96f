import { type PrismaClient } from "../generated/client.ts";

/** Removes up to `limit` notes of ended prompts that are older than `ageMs`. */
export async function removeDoorEnds(database: PrismaClient, ageMs: number, limit: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM door_ends WHERE job_id IN (
      SELECT job_id FROM door_ends WHERE ended_at <= now() - ${ageMs}::float8 * interval '1 millisecond'
      LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
}

/** Of each client for which more than `keptMax` are kept, removes the oldest ones; up to `limit` of all together. */
export async function removeExcessDoorEnds(
  database: PrismaClient,
  keptMax: number,
  limit: number,
): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM door_ends WHERE job_id IN (
      SELECT excess.job_id FROM (
        SELECT tenant_id, client_id, count(*) - ${keptMax}::int AS excess FROM door_ends
        GROUP BY tenant_id, client_id HAVING count(*) > ${keptMax}::int
      ) many CROSS JOIN LATERAL (
        SELECT job_id FROM door_ends ended
        WHERE ended.tenant_id = many.tenant_id AND ended.client_id = many.client_id
        ORDER BY ended.ended_at, ended.job_id LIMIT least(many.excess, ${limit}::int) FOR UPDATE SKIP LOCKED
      ) excess LIMIT ${limit}::int)`;
}
