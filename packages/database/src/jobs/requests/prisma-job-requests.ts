import {
  type Actor,
  type BatchCancelResult,
  type BatchRemoval,
  type CancelOptions,
  type CancelResult,
  type Job,
  type JobPriority,
  type JobRequests,
  type NewSubmission,
  type RemovedJob,
  type SealForJob,
  type TellPassedOn,
  type WaitingChange,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { removeBatchPart } from "../../keeping/remove-batches.ts";
import { type PassOn, removeJob } from "../../keeping/remove-jobs.ts";
import { passOnNow } from "../dependencies/pass-on-ends.ts";
import { checkJobs } from "../accepting/check-jobs.ts";
import { insertJobs } from "../accepting/accept-jobs.ts";
import { JobsTogether } from "../accepting/jobs-together.ts";
import { LaneRows } from "../../lanes/use-lanes.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { cancelBatch, retryBatch } from "./batch-requests.ts";
import { changePriorityOfBatch, changePriorityOfJob } from "./change-priority.ts";
import { pauseOrResumeBatch, pauseOrResumeJob } from "./pause-jobs.ts";
import { requestCancel, retryJob } from "./job-requests.ts";

/**
 * Accepts and changes jobs in PostgreSQL. Each statement has a file of its own; errors of all of them are mapped here.
 */
export class PrismaJobRequests implements JobRequests {
  readonly #database: PrismaClient;
  readonly #statements: PlainStatements;
  readonly #limits: QueueLimit;
  readonly #lanes: LaneRows;
  readonly #inserts = new JobsTogether((submission) => {
    const by = { database: this.#database, statements: this.#statements };
    return insertJobs(by, submission, this.#limits, this.#lanes);
  });

  constructor(options: {
    database: PrismaClient;
    statements: PlainStatements;
    limits: QueueLimit;
    lanesMax: number;
  }) {
    const { lanesMax } = options;
    this.#lanes = new LaneRows({ lanesMax });
    this.#database = options.database;
    this.#statements = options.statements;
    this.#limits = options.limits;
  }

  insertJobs(submission: NewSubmission): Promise<Job[]> {
    return withMappedErrors(() => this.#inserts.insert(submission));
  }

  checkJobs(submission: NewSubmission): Promise<void> {
    return withMappedErrors(() => checkJobs(this.#database, submission, this.#limits));
  }

  requestCancel(id: string, by?: string, options?: CancelOptions): Promise<CancelResult | "removed" | null> {
    return withMappedErrors(() => requestCancel(this.#database, id, by, options));
  }

  retryJob(id: string, seal?: SealForJob, by?: string): Promise<Job | "removed" | null> {
    return withMappedErrors(() => retryJob(this.#database, id, this.#limits, seal, by));
  }

  pauseJob(id: string, by?: string): Promise<WaitingChange | "removed" | null> {
    return withMappedErrors(() => pauseOrResumeJob(this.#database, id, "paused", by));
  }

  resumeJob(id: string, by?: string): Promise<WaitingChange | "removed" | null> {
    return withMappedErrors(() => pauseOrResumeJob(this.#database, id, "resumed", by));
  }

  changePriorityOfJob(
    id: string,
    priority: JobPriority,
    by?: string,
  ): Promise<WaitingChange | "removed" | null> {
    return withMappedErrors(() => changePriorityOfJob(this.#database, id, { priority, by }));
  }

  changePriorityOfBatch(batchId: string, priority: JobPriority, by?: string): Promise<WaitingChange[]> {
    return withMappedErrors(() => changePriorityOfBatch(this.#database, batchId, { priority, by }));
  }

  pauseBatch(batchId: string, by?: string): Promise<WaitingChange[]> {
    return withMappedErrors(() => pauseOrResumeBatch(this.#database, batchId, "paused", by));
  }

  resumeBatch(batchId: string, by?: string): Promise<WaitingChange[]> {
    return withMappedErrors(() => pauseOrResumeBatch(this.#database, batchId, "resumed", by));
  }

  removeJob(id: string, by?: Actor, tell?: TellPassedOn): Promise<RemovedJob | "removed" | null> {
    return withMappedErrors(() => removeJob(this.#database, id, passOnAndTell(tell), by));
  }

  removeBatchPart(batchId: string, by?: Actor, tell?: TellPassedOn): Promise<BatchRemoval> {
    return withMappedErrors(() => removeBatchPart(this.#database, batchId, passOnAndTell(tell), by));
  }

  cancelBatch(batchId: string, by?: string): Promise<BatchCancelResult> {
    return withMappedErrors(() => cancelBatch(this.#database, batchId, by));
  }

  retryBatch(batchId: string, seal?: SealForJob, by?: string): Promise<Job[]> {
    return withMappedErrors(() => retryBatch(this.#database, batchId, this.#limits, seal, by));
  }
}

function passOnAndTell(tell: TellPassedOn = () => undefined): PassOn {
  return async (database, endedIds) => {
    tell(await passOnNow(database, endedIds));
  };
}
