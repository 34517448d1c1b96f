import { Prisma } from "../generated/client.ts";

/**
 * The queued jobs that could run now, from a table or alias named `job`: not paused, all jobs that they depend on have
 * completed, and their time has come. Only these have tickets. The conditions stand in the order of the index
 * `jobs_unannounced_idx`.
 */
export const isReady = Prisma.sql`
  job.status = 'queued' AND job.paused_at IS NULL AND job.open_dependencies = 0
  AND (job.run_at IS NULL OR job.run_at <= now())`;
