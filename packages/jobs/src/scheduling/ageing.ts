import { jobPriorities, type JobPriority } from "../job/job.ts";

/** What decides whether a waiting job ages. Times are milliseconds by one clock. */
export interface WaitingJob {
  /** Its own priority. */
  priority: JobPriority;
  /** How many bands it has moved up already. */
  agedBands: number;
  /** Since when it waits in the band: since it became ready, or since it last moved up. */
  inBandSinceMs: number;
}

/** The most bands that a job of this priority may move up: never into `urgent`, which people choose. */
export function agedBandsMax(priority: JobPriority): number {
  return Math.max(jobPriorities.indexOf(priority) - jobPriorities.indexOf("high"), 0);
}

/**
 * Which of a tenant's waiting jobs of one lane and one band (the band that they wait in) moves up: only the one that
 * has waited there longest, when it has waited `ageingMs`, and only one in `ageingMs`. So ageing cannot turn a
 * backlog into a more urgent backlog.
 * @param lastAgedAtMs when a job of the tenant last moved up from this lane and band; `null` = never
 * @returns `null` = none
 */
export function jobThatAges<Job extends WaitingJob>(
  jobs: readonly Job[],
  lastAgedAtMs: number | null,
  now: number,
  ageingMs: number,
): Job | null {
  if (lastAgedAtMs !== null && now - lastAgedAtMs < ageingMs) return null;
  let oldest: Job | null = null;
  for (const job of jobs) {
    if (job.agedBands >= agedBandsMax(job.priority)) continue;
    if (oldest === null || job.inBandSinceMs < oldest.inBandSinceMs) oldest = job;
  }
  return oldest !== null && now - oldest.inBandSinceMs >= ageingMs ? oldest : null;
}
