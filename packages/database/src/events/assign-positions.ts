import { type Assigned } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { fanOut } from "../webhooks/fan-out.ts";

/**
 * Moves the oldest notes of committed events (`unsequenced_events`) to `event_positions`, and makes the deliveries to webhooks
 * of these events.
 *
 * Only the holder of the lock on `event_feed` assigns. The statement that assigns begins after the lock was taken, so that it
 * sees all positions that were given before, and its positions become visible together, before anybody can give higher
 * ones: whoever reads on from a position never misses one that is filled in later.
 *
 * A job's events are appended under the lock of its row, so that their notes become visible in the order of their ids. Notes
 * that somebody holds are those of jobs that are just being removed. They are not waited for, and no later event of such a
 * job is taken either: the removal may yet be rolled back.
 */
export async function assignPositions(
  database: PrismaClient,
  limit: number,
): Promise<Omit<Assigned, "mayBeMore">> {
  return await database.$transaction(async (transaction) => {
    const feed = await transaction.$queryRaw<unknown[]>`SELECT FROM event_feed FOR UPDATE SKIP LOCKED`;
    if (feed.length === 0) return { events: 0, deliveries: 0 };
    const [row] = await transaction.$queryRaw<{ taken: bigint; made: bigint }[]>`
      WITH oldest AS MATERIALIZED (
        SELECT job_id, sequence, id FROM unsequenced_events ORDER BY id LIMIT ${limit}::int
      ), free AS MATERIALIZED (
        SELECT note.id FROM oldest JOIN unsequenced_events note USING (job_id, sequence)
        FOR UPDATE OF note SKIP LOCKED
      ), held AS MATERIALIZED (
        SELECT job_id FROM oldest WHERE id NOT IN (SELECT id FROM free)
      ), note AS (
        DELETE FROM unsequenced_events note USING oldest
        WHERE note.job_id = oldest.job_id AND note.sequence = oldest.sequence
          AND note.job_id NOT IN (SELECT job_id FROM held)
        RETURNING note.id, note.job_id, note.sequence
      ), placed AS (
        INSERT INTO event_positions (position, job_id, sequence, tenant_id, batch_id)
        SELECT feed.position + row_number() OVER (ORDER BY note.id), note.job_id, note.sequence, job.tenant_id, job.batch_id
        FROM note JOIN jobs job ON job.id = note.job_id CROSS JOIN event_feed feed
        RETURNING position
      ), moved AS (
        UPDATE event_feed SET position = last.position FROM (SELECT max(position) AS position FROM placed) last
        WHERE last.position IS NOT NULL
      ), ${fanOut(Prisma.sql`note`)}
      SELECT (SELECT count(*) FROM note) AS taken, made FROM delivery`;
    return { events: Number(row?.taken ?? 0), deliveries: Number(row?.made ?? 0) };
  });
}
