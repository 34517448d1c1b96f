import { Prisma } from "../../generated/client.ts";

/**
 * The band that a job of `job` (a table or alias) waits in, as a `job_priority`: that of its priority, or a more urgent
 * one if it has aged.
 */
export function bandOf(job: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`CASE
    WHEN ${job}.aged = 0 THEN ${job}.priority
    WHEN ${job}.aged = 1 AND ${job}.priority = 'low' THEN 'normal'
    ELSE 'high'
  END`;
}
