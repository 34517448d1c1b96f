import { type Job } from "../job/job.ts";
import { type Announcement } from "../ports/job-announcer.ts";

/** The ticket of a queued job. */
export function announcementOf(job: Job): Announcement {
  return {
    jobId: job.id,
    attempt: job.attempt + 1,
    ticketNumber: job.ticketNumber,
    type: job.type,
    lane: job.lane,
    priority: job.priority,
    rank: job.rank,
  };
}
