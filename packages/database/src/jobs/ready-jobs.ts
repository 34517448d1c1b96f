import { Prisma } from "../generated/client.ts";

const readyWhen = (isQueued: Prisma.Sql): Prisma.Sql => Prisma.sql`
  ${isQueued} AND job.paused_at IS NULL AND job.open_dependencies = 0
  AND (job.run_at IS NULL OR job.run_at <= now())`;

/**
 * The queued jobs that could run now, from a table or alias named `job`: not paused, all jobs that they depend on have
 * completed, and their time has come. Only these have tickets. The conditions stand in the order of the index
 * `jobs_unannounced_idx`.
 */
export const isReady = readyWhen(Prisma.sql`job.status = 'queued'`);

/**
 * The same for rows that are looked up by their ids. A status that is compared as text keeps PostgreSQL from the indexes of
 * queued jobs: it reads one of them as a whole if it believes it to be almost empty, as it may in a prepared statement.
 */
export const isReadyById = readyWhen(Prisma.sql`job.status::text = 'queued'`);
