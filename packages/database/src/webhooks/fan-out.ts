import { Prisma } from "../generated/client.ts";
import { isInBacklog } from "./backlogs.ts";

/** The types of events of which webhooks are told, by those of jobs' events. */
const typeOfEvent: Prisma.Sql = Prisma.raw(`CASE event.type
  WHEN 'executing' THEN 'job.started' WHEN 'completed' THEN 'job.completed' WHEN 'failed' THEN 'job.failed'
  WHEN 'timeout' THEN 'job.timeout' WHEN 'cancelled' THEN 'job.cancelled' END`);
const toldEvents = Prisma.raw(`('executing', 'completed', 'failed', 'timeout', 'cancelled')`);
const ends = Prisma.raw(`('completed', 'failed', 'timeout', 'cancelled')`);

/** Of a job with more outputs these are listed; a payload links to all of them. */
const listedOutputsMax = 20;

/** The webhooks that want to be told of `of`: those with one of these ids, and those of its tenant. */
const hooksOf = (of: "job" | "batch", type: Prisma.Sql): Prisma.Sql => Prisma.sql`
      CROSS JOIN LATERAL (
        SELECT * FROM webhooks WHERE id IN (${Prisma.raw(of === "job" ? "job.id, job.batch_id" : "batch.id")})
        UNION ALL
        SELECT * FROM webhooks
        WHERE tenant_id = ${Prisma.raw(of)}.tenant_id AND scope = 'tenant' AND removed_at IS NULL
      ) hook
      WHERE hook.tenant_id = ${Prisma.raw(of)}.tenant_id AND hook.disabled_at IS NULL AND hook.removed_at IS NULL
        AND ${type} = ANY(hook.events)`;

/** What a payload says of a job at the moment of the event. Texts of servers are not among it: they may name addresses. */
const jobFacts = Prisma.sql`jsonb_build_object(
    'id', job.id, 'type', job.type, 'attempt', event.attempt,
    'status', CASE event.type WHEN 'executing' THEN 'processing' ELSE event.type END,
    'batchId', job.batch_id, 'batchIndex', job.batch_index, 'key', job.key,
    'traceId', split_part(job.traceparent, '-', 2), 'project', job.project, 'scene', job.scene, 'shot', job.shot, 'tags', job.tags,
    'createdAt', job.created_at, 'startedAt', job.started_at,
    'failure', CASE WHEN jsonb_exists(event.data, 'class') THEN jsonb_build_object(
      'class', event.data -> 'class', 'code', event.data -> 'code',
      'nodeId', event.data -> 'nodeId', 'nodeType', event.data -> 'nodeType') END,
    'outputCount', CASE WHEN event.type = 'completed' THEN (SELECT count(*) FROM outputs WHERE job_id = job.id) ELSE 0 END,
    'outputs', CASE WHEN event.type = 'completed' THEN (
      SELECT coalesce(jsonb_agg(to_jsonb(listed) ORDER BY listed.index), '[]') FROM (
        SELECT id, index, kind, filename, media_type AS "mediaType", bytes, sha256, width, height,
          duration_ms AS "durationMs"
        FROM outputs WHERE job_id = job.id ORDER BY index LIMIT ${listedOutputsMax}::int
      ) listed) ELSE '[]' END)`;

const digitsOf = (id: string): Prisma.Sql => Prisma.raw(`replace(${id}::text, '-', '')`);

/**
 * CTEs that make deliveries of events for webhooks, in the transaction that takes the events' notes: so an event is passed on
 * once, in whatever order the transactions commit. The ids of messages follow from the events.
 *
 * A batch has ended when no job of it is left that has not, nor any event that was not passed on: the last one to be
 * passed on tells it, and says so again when a job is retried and ends once more. Whoever takes notes holds the lock on
 * `event_feed`, so that no two transactions take each other's last one for one that is still left.
 * @param note a CTE with `job_id`, `sequence` and `id` of the notes that were taken
 */
export function fanOut(note: Prisma.Sql): Prisma.Sql {
  // Without any webhook PostgreSQL does not even read the events.
  return Prisma.sql`
    told AS MATERIALIZED (
      SELECT note.id, event.job_id, event.sequence, event.type FROM ${note} note
      JOIN job_events event ON event.job_id = note.job_id AND event.sequence = note.sequence
      WHERE (SELECT EXISTS (SELECT FROM webhooks)) AND event.type IN ${toldEvents}
    ), delivery_of_job AS (
      INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at, in_backlog)
      SELECT hook.id, job.tenant_id, 'msg_' || ${digitsOf("job.id")} || '_' || event.sequence, ${typeOfEvent},
        jsonb_build_object('job', ${jobFacts}), event.created_at,
        ${isInBacklog(Prisma.sql`hook.id`, Prisma.sql`row_number() OVER (PARTITION BY hook.id ORDER BY told.id)`)}
      FROM told JOIN job_events event ON event.job_id = told.job_id AND event.sequence = told.sequence
      JOIN jobs job ON job.id = told.job_id
${hooksOf("job", typeOfEvent)}
      ORDER BY told.id
      ON CONFLICT (webhook_id, message_id) DO NOTHING
      RETURNING id
    ), ended_batch AS MATERIALIZED (
      SELECT DISTINCT ON (batch.id) batch.*, told.job_id, told.sequence, event.created_at AS ended_at
      FROM told JOIN job_events event ON event.job_id = told.job_id AND event.sequence = told.sequence
      JOIN jobs job ON job.id = told.job_id JOIN batches batch ON batch.id = job.batch_id
      WHERE told.type IN ${ends}
        AND NOT EXISTS (SELECT FROM jobs other WHERE other.batch_id = batch.id AND other.finished_at IS NULL)
        AND NOT EXISTS (
          SELECT FROM unsequenced_events waiting JOIN jobs other ON other.id = waiting.job_id
          WHERE other.batch_id = batch.id AND waiting.id NOT IN (SELECT id FROM ${note}))
      ORDER BY batch.id, told.id DESC
    ), delivery_of_batch AS (
      INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at, in_backlog)
      SELECT hook.id, batch.tenant_id,
        'msg_' || ${digitsOf("batch.id")} || '_' || ${digitsOf("batch.job_id")} || '_' || batch.sequence, 'batch.ended',
        jsonb_build_object('batch', jsonb_build_object('id', batch.id, 'name', batch.name, 'total', batch.total,
          'project', batch.project, 'scene', batch.scene, 'shot', batch.shot, 'tags', batch.tags,
          'createdAt', batch.created_at, 'counts', (
            SELECT jsonb_object_agg(status, jobs) FROM (
              SELECT status, count(*) AS jobs FROM jobs WHERE batch_id = batch.id GROUP BY status) counted))),
        batch.ended_at, ${isInBacklog(Prisma.sql`hook.id`, Prisma.sql`row_number() OVER (PARTITION BY hook.id)`)}
      FROM ended_batch batch
${hooksOf("batch", Prisma.sql`'batch.ended'`)}
      ON CONFLICT (webhook_id, message_id) DO NOTHING
      RETURNING id
    ), delivery AS (
      SELECT (SELECT count(*) FROM delivery_of_job) + (SELECT count(*) FROM delivery_of_batch) AS made
    )`;
}

/**
 * Passes on what these jobs have not told yet, before they are removed with their notes. The jobs are locked, so that they
 * get no more events.
 */
export async function fanOutBeforeRemoval(
  transaction: Prisma.TransactionClient,
  jobIds: string[],
): Promise<void> {
  const [waiting] = await transaction.$queryRaw<unknown[]>`
    SELECT FROM unsequenced_events WHERE job_id = ANY(${jobIds}::uuid[]) AND (SELECT EXISTS (SELECT FROM webhooks)) LIMIT 1`;
  if (waiting === undefined) return;
  // The sequencer may just be taking them; it waits for nobody while it holds this lock.
  await transaction.$queryRaw`SELECT FROM event_feed FOR UPDATE`;
  await transaction.$queryRaw`
    WITH note AS MATERIALIZED (
      SELECT job_id, sequence, id FROM unsequenced_events WHERE job_id = ANY(${jobIds}::uuid[])
    ), taken AS (
      DELETE FROM unsequenced_events USING note
      WHERE unsequenced_events.job_id = note.job_id AND unsequenced_events.sequence = note.sequence
    ), ${fanOut(Prisma.sql`note`)}
    SELECT made FROM delivery`;
}
