import { type NewDoorPrompt } from "@genga/jobs";
import { type Statements } from "../../connection/plain-statements.ts";
import { type PreparedJob } from "../accepting/prepare-jobs.ts";

/** At most so many prompts make way for one. If more have larger numbers, the last of these comes behind all others. */
const movedMax = 1_000;

type Inserted = Pick<PreparedJob, "job" | "lane" | "priority">;

/**
 * Lets prompts that were just inserted, and were sent with a number or to the front, run before the waiting prompts of the
 * same key that have larger numbers.
 * @returns their ranks, by job id
 */
export async function placePrompts(
  statements: Statements,
  tenantId: string,
  inserted: readonly Inserted[],
): Promise<Map<string, number>> {
  const ranks = new Map<string, number>();
  for (const each of inserted) {
    const { door, id } = each.job;
    if (door?.goesBefore === true) ranks.set(id, await placePrompt(statements, tenantId, each, door));
  }
  return ranks;
}

/**
 * The prompts exchange ranks until these are in the order of the numbers. So their tenant has the same ranks as before, and
 * no other tenant waits longer. Prompts of other lanes or priorities stay where they are, and so do those that have
 * aged or were queued again. The old tickets of prompts that move are stale, and the sweeper announces new ones.
 *
 * The rows are locked in the order of their ids, as by all statements. A prompt that is claimed before that keeps its rank; a
 * claim that waits for the lock finds its ticket stale. Two prompts that are accepted at the same time do not see each other.
 */
async function placePrompt(
  statements: Statements,
  tenantId: string,
  { job: { id }, lane, priority }: Inserted,
  { keyName, number }: Pick<NewDoorPrompt, "keyName" | "number">,
): Promise<number> {
  const [placed] = await statements.$queryRaw<{ rank: number }[]>`
    WITH moving AS MATERIALIZED (
      (SELECT job.id, prompt.number FROM jobs job JOIN door_prompts prompt ON prompt.job_id = job.id
       WHERE job.tenant_id = ${tenantId}::uuid AND job.door AND job.status IN ('queued', 'processing') AND job.status = 'queued'
         AND job.lane = ${lane} AND job.priority = ${priority}::job_priority AND job.aged = 0 AND job.attempt = 0
         AND prompt.key_name = ${keyName} AND prompt.number > ${number}::float8
       ORDER BY job.rank, job.id LIMIT ${movedMax}::int)
      UNION ALL
      SELECT ${id}::uuid, ${number}::float8
    ), held AS MATERIALIZED (
      SELECT job.id, job.rank, moving.number FROM jobs job JOIN moving ON moving.id = job.id
      WHERE job.status = 'queued' AND job.lane = ${lane} AND job.priority = ${priority}::job_priority
        AND job.aged = 0 AND job.attempt = 0
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), place AS MATERIALIZED (
      SELECT by_number.id, by_rank.rank
      FROM (SELECT id, row_number() OVER (ORDER BY number, id) AS place FROM held) by_number
      JOIN (SELECT rank, row_number() OVER (ORDER BY rank, id) AS place FROM held) by_rank USING (place)
    ), moved AS (
      UPDATE jobs SET rank = place.rank, enqueued_at = NULL,
        ticket_number = ticket_number + CASE WHEN jobs.id = ${id}::uuid THEN 0 ELSE 1 END
      FROM place WHERE jobs.id = place.id AND jobs.rank <> place.rank
    )
    SELECT rank FROM place WHERE id = ${id}::uuid`;
  if (placed === undefined)
    throw new Error(`The prompt of job ${id} was not found in the transaction that inserted it.`);
  return placed.rank;
}
