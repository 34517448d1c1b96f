import { type PrismaClient } from "../generated/client.ts";

/**
 * Removes deliveries that ended long ago, and webhooks that nobody needs: they were removed, or their job or batch was. A
 * webhook goes after its last delivery, so that what waits is still sent when a job is removed, and no removal is large.
 */
export async function removeOldDeliveries(
  database: PrismaClient,
  ageMs: number,
  limit: number,
): Promise<{ deliveries: number; webhooks: number }> {
  const deliveries = await database.$executeRaw`
    DELETE FROM webhook_deliveries WHERE id IN (
      SELECT id FROM webhook_deliveries
      WHERE status <> 'pending' AND ended_at < now() - ${ageMs}::float8 * interval '1 millisecond'
      ORDER BY ended_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
  const webhooks = await database.$executeRaw`
    DELETE FROM webhooks WHERE id IN (
      SELECT id FROM webhooks hook
      WHERE (removed_at IS NOT NULL OR orphaned_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM webhook_deliveries delivery WHERE delivery.webhook_id = hook.id)
      ORDER BY id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
  return { deliveries, webhooks };
}
