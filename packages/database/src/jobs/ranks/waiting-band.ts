import { jobPriorities, type JobPriority } from "@genga/jobs";
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

/** The same of values: a job of this priority that has moved up so many bands. Nothing ages into `urgent`. */
export function bandAfter(priority: JobPriority, agedBands: number): JobPriority {
  if (agedBands === 0) return priority;
  return jobPriorities[Math.max(jobPriorities.indexOf(priority) - agedBands, 1)] ?? priority;
}
