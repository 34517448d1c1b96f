import { type JobPriority } from "../job/job.ts";
import { type Lane } from "../job/lane.ts";
import { type TicketReference } from "./job-announcer.ts";

/** A queued job of a lane whose needs were guessed. */
export interface GuessedJob {
  jobId: string;
  tenantId: string;
  priority: JobPriority;
  /** Labels that the server must have. */
  requires: string[];
  /** JSON text. */
  workflow: string;
  workflowHash: string;
}

/**
 * Lanes into which jobs were accepted while no server was known. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface GuessedLanes {
  listGuessed(limit: number): Promise<string[]>;
  /** Queued jobs of the lane, ready or not, by id. */
  listJobsOf(lane: string, afterJobId: string | null, limit: number): Promise<GuessedJob[]>;
  /**
   * Moves those of the jobs that still wait in the lane `from` to the lanes of what they need, or to `default` if there
   * are too many lanes. They get new ranks and tickets.
   * @returns the tickets that are stale now
   */
  moveJobs(
    from: string,
    jobs: readonly { job: GuessedJob; lane: Lane }[],
  ): Promise<(TicketReference & { lane: string })[]>;
  /** All jobs of the lane are where they belong, unless some were accepted into it within the last minute. */
  settle(lane: string): Promise<void>;
}
