import { Prisma } from "../generated/client.ts";

/**
 * Of a row `job`: it was sent to a server, where another one runs, or was sent before. For its client it waits, as in a server's own queue.
 */
const waitsOnServer = Prisma.sql`(
  job.status = 'processing' AND job.phase IN ('waiting', 'submitted') AND EXISTS (
    SELECT FROM jobs other JOIN job_attempts theirs ON theirs.job_id = other.id AND theirs.number = other.attempt
    WHERE other.status = 'processing' AND other.phase <> 'saving' AND other.server_id = job.server_id AND other.id <> job.id
      AND (other.phase = 'executing' OR (theirs.claimed_at, other.id) < (
        SELECT own.claimed_at, job.id FROM job_attempts own WHERE own.job_id = job.id AND own.number = job.attempt))))`;

/** The status of a row `job` as its client is told: `queued` also while it waits on a server. */
export const shownStatus = Prisma.sql`CASE WHEN ${waitsOnServer} THEN 'queued' ELSE job.status::text END`;

/** A prompt that waits or runs. One that was taken out of the queue of its server, which its worker has to do yet, is gone at once. */
export const isActive = Prisma.sql`job.door AND job.status IN ('queued', 'processing')
  AND (job.cancel_requested_at IS NULL OR NOT ${waitsOnServer})`;

/** A server has no entry of a prompt that was taken out of its queue, but one of a prompt that was interrupted. */
export const hasEnded = Prisma.sql`(
  job.status IN ('completed', 'failed', 'timeout') OR (job.status = 'cancelled' AND (job.started_at IS NOT NULL OR EXISTS (
    SELECT FROM door_entries told WHERE told.job_id = job.id AND told.attempt = job.attempt))))`;
