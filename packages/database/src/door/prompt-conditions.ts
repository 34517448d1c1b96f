import { Prisma } from "../generated/client.ts";
import { waitsOnServer } from "../jobs/waits-on-server.ts";

/** The status of a row `job` as its client is told: `queued` also while it waits on a server. */
export const shownStatus = Prisma.sql`CASE WHEN ${waitsOnServer} THEN 'queued' ELSE job.status::text END`;

/** A prompt that waits or runs. One that was taken out of the queue of its server, which its worker has to do yet, is gone at once. */
export const isActive = Prisma.sql`job.door AND job.status IN ('queued', 'processing')
  AND (job.cancel_requested_at IS NULL OR NOT ${waitsOnServer})`;

/** A server has no entry of a prompt that was taken out of its queue, but one of a prompt that was interrupted. */
export const hasEnded = Prisma.sql`(
  job.status IN ('completed', 'failed', 'timeout') OR (job.status = 'cancelled' AND (job.started_at IS NOT NULL OR EXISTS (
    SELECT FROM door_entries told WHERE told.job_id = job.id AND told.attempt = job.attempt))))`;
