import { Prisma, type PrismaClient } from "../generated/client.ts";

export async function forgetKeys(database: PrismaClient, ageMs: number, limit: number): Promise<number> {
  const before = Prisma.sql`now() - ${ageMs}::float8 * interval '1 millisecond'`;
  return await database.$executeRaw`
    DELETE FROM idempotency_keys WHERE (tenant_id, door, key_hash) IN (
      SELECT tenant_id, door, key_hash FROM idempotency_keys WHERE removed_at < ${before} OR claimed_until < ${before}
        OR expires_at <= now()
      LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
}
