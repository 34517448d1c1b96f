import { Prisma } from "../generated/client.ts";

/**
 * Of a row `job`: it was sent to a server, where another one runs, or was sent before. For a client of ComfyUI's protocol it waits, as
 * in a server's own queue.
 */
export const waitsOnServer = Prisma.sql`(
  job.status = 'processing' AND job.phase IN ('waiting', 'submitted') AND EXISTS (
    SELECT FROM jobs other JOIN job_attempts theirs ON theirs.job_id = other.id AND theirs.number = other.attempt
    WHERE other.status = 'processing' AND other.phase <> 'saving' AND other.server_id = job.server_id AND other.id <> job.id
      AND (other.phase = 'executing' OR (theirs.claimed_at, other.id) < (
        SELECT own.claimed_at, job.id FROM job_attempts own WHERE own.job_id = job.id AND own.number = job.attempt))))`;
