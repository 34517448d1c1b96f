import { type Job } from "../job/job.ts";
import { type Announcement } from "../ports/job-announcer.ts";

/**
 * Whether a job gets its ticket as soon as it is queued. The others get theirs from the sweeper when they are ready
 * (`isReady` of packages/database), so that the clock of the database decides when.
 */
export function isReadyAtOnce({ status, runAt, pausedAt, openDependencies }: Job): boolean {
  return status === "queued" && runAt === null && pausedAt === null && openDependencies === 0;
}

/** The ticket of a queued job. Its rank is not yet counted from its base (`JobAnnouncer.countFromBases`). */
export function announcementOf(job: Job): Announcement {
  return {
    jobId: job.id,
    attempt: job.attempt + 1,
    ticketNumber: job.ticketNumber,
    type: job.type,
    lane: job.lane,
    priority: job.priority,
    agedBands: job.agedBands,
    rank: job.rank,
  };
}
