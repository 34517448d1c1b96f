import { type PrismaClient } from "../generated/client.ts";

/** Removes up to `limit` sessions that have expired, or whose created key has ended. */
export async function removeEndedSessions(database: PrismaClient, limit: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM sessions WHERE id IN (
      SELECT session.id FROM sessions session
      LEFT JOIN access_key_secrets secret ON secret.hash = session.secret_hash
      LEFT JOIN access_keys key ON key.id = secret.key_id
      WHERE session.idle_until <= now() OR secret.valid_until <= now() OR key.revoked_at IS NOT NULL
      LIMIT ${limit}::int FOR UPDATE OF session SKIP LOCKED)`;
}
