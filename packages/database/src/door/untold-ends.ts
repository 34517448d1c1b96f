import { untoldKeptMs } from "@genga/jobs";
import { Prisma } from "../generated/client.ts";

interface Asked {
  clientIds: readonly string[];
  heardJobIds: readonly string[];
  /** The most ends of one client. */
  ofEachMax: number;
}

/**
 * Ends that these clients must be told. Each client has its own share of them, which its index gives, so that the many ends of one
 * hide no end of another.
 *
 * An end is recorded when the outputs are stored, which is after the next prompt on the same server has begun. So a prompt that was
 * claimed later on the same server began after this end, whatever the times say; unless the prompt that ended never ran, as when it
 * was cancelled while it waited on the server behind the other one. A completed prompt has run, also if no progress was written down.
 */
export function untoldStatement(tenantId: string, { clientIds, heardJobIds, ofEachMax }: Asked): Prisma.Sql {
  return Prisma.sql`
    WITH running AS MATERIALIZED (
      SELECT job.id, prompt.client_id, job.started_at, theirs.server_id, theirs.claimed_at
      FROM (
        SELECT id FROM jobs WHERE status = 'processing' AND door AND tenant_id = ${tenantId}::uuid
        UNION SELECT unnest(${[...heardJobIds]}::uuid[])
      ) open JOIN jobs job ON job.id = open.id JOIN door_prompts prompt ON prompt.job_id = job.id
      LEFT JOIN job_attempts theirs ON theirs.job_id = job.id AND theirs.number = job.attempt
      WHERE job.tenant_id = ${tenantId}::uuid AND job.started_at IS NOT NULL
    ), untold AS MATERIALIZED (
      SELECT ended.* FROM unnest(${[...clientIds]}::text[]) AS client (id) CROSS JOIN LATERAL (
        SELECT noted.job_id, noted.client_id, noted.ended_at, job.attempt, job.status
        FROM door_ends noted JOIN jobs job ON job.id = noted.job_id
        WHERE noted.tenant_id = ${tenantId}::uuid AND noted.client_id = client.id
          AND noted.ended_at > now() - ${untoldKeptMs}::float8 * interval '1 millisecond'
          AND job.status NOT IN ('queued', 'processing')
        ORDER BY noted.ended_at, noted.job_id LIMIT ${ofEachMax}::int
      ) ended
    )
    SELECT ended.job_id AS "jobId", ended.client_id AS "clientId",
      1000 * extract(epoch FROM now() - ended.ended_at)::float8 AS "agoMs",
      NOT EXISTS (
        SELECT FROM running WHERE running.client_id = ended.client_id AND running.started_at <= ended.ended_at
          AND (
            (own.execution_started_at IS NOT NULL OR ended.status = 'completed')
            AND running.server_id = own.server_id AND (running.claimed_at, running.id) > (own.claimed_at, own.job_id)
          ) IS NOT TRUE
      ) AS "isBeforeRunning"
    FROM untold ended LEFT JOIN LATERAL (
      SELECT job_id, server_id, claimed_at, execution_started_at FROM job_attempts
      WHERE job_id = ended.job_id AND number = ended.attempt
      LIMIT 1 -- One row is read at a time, and never the whole table.
    ) own ON true
    ORDER BY ended.ended_at, ended.job_id`;
}
