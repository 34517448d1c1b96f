import { v7 as uuidv7 } from "uuid";
import {
  type Batch,
  type Job,
  type JobEvent,
  type JobLabels,
  type JobType,
  type NewBatch,
  type NewJob,
} from "../job/job.ts";
import { announcementOf } from "../running/announcement.ts";
import { type Actor } from "../ports/audit-store.ts";
import { eventSignal, publishFailures } from "../running/attempt-recorder.ts";
import { assertNoExtraData, sealAnew, type WriteJson } from "../secrets/extra-data.ts";
import { BatchNotFoundError } from "../job/job-errors.ts";
import { type JobAnnouncer } from "../ports/job-announcer.ts";
import { type JobReader } from "../ports/job-reader.ts";
import { type CancelOptions, type CancelResult, type JobRequests } from "../ports/job-requests.ts";
import { tryToFinishRemoval } from "../running/finish-removal.ts";
import { promptOf, type JobPrompt } from "../job/job-prompt.ts";
import { insertOrFind, withLostAnswers } from "./lost-answer.ts";
import { type OutputStorage } from "../ports/output-storage.ts";
import { type IdempotencyClaim } from "../ports/idempotency-store.ts";
import { prepareBatch, prepareJob, type JobOptions, type JobRequest, type RerunOf } from "./prepare-jobs.ts";
import { removeBatch } from "./remove-batch.ts";
import { present } from "./present.ts";
import { type NewWebhook, type SubmittedWebhook } from "../job/webhook.ts";
import { type SecretBox } from "../secrets/secret-box.ts";
import { type Signals } from "../ports/signals.ts";
import { TicketAnnouncer } from "./ticket-announcer.ts";
import { WaitingJobs } from "./waiting-jobs.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";
import { type Remarks, type Submitter, type WorkflowResolver } from "../ports/workflow-resolver.ts";

/**
 * After a lost answer about a batch, the cancellation of at most this many running jobs is signalled at once. Workers
 * notice the others with their next heartbeat.
 */
const signalledMax = 1_000;

export interface JobManagerOptions {
  reader: JobReader;
  requests: JobRequests;
  announcer: Pick<JobAnnouncer, "markEnqueued" | "countFromBases">;
  tickets: TicketQueue;
  signals: Signals;
  resolver: WorkflowResolver;
  storage: OutputStorage;
  /** The tenant of jobs that are submitted without one. */
  defaultTenantId: string;
  timeoutMsByType: Record<JobType, number>;
  /** Absent when SECRETS_KEY is not set; submissions with secrets are refused then. */
  secretBox?: SecretBox | undefined;
  /** Checks the webhook of a job or batch and encrypts its secret. @throws InvalidJobError */
  newWebhook: (given: SubmittedWebhook, id: string) => NewWebhook;
  /** Writes the extra data that a retry sends again. */
  writeJson: WriteJson;
  logger: { warn(details: object, message: string): void };
}

/** What a batch has besides its jobs. */
interface BatchOptions {
  name?: string | null;
  labels?: JobLabels;
  webhook?: SubmittedWebhook;
}

/** A submission with an Idempotency-Key. */
interface Claimed {
  claim?: IdempotencyClaim | undefined;
}

/** A submission that makes a job again. */
interface Rerunning {
  rerunOf?: RerunOf | undefined;
}

/**
 * Carries out the requests of clients, including what follows a change: tickets, signals and files. Accepts jobs, and
 * cancels, retries and removes jobs that the caller has found among those of the principal's tenant. The rules
 * themselves are conditions of SQL statements.
 */
export class JobManager {
  readonly #options: JobManagerOptions;
  readonly #announcer: TicketAnnouncer;
  /** Changes of jobs that wait. */
  readonly waiting: WaitingJobs;

  constructor(options: JobManagerOptions) {
    this.#options = options;
    this.#announcer = new TicketAnnouncer(options);
    this.waiting = new WaitingJobs({ ...options, announcer: this.#announcer });
  }

  /** Resolves when every job that was accepted or retried so far has its ticket, or was left to the sweeper. */
  announced(): Promise<void> {
    return this.#announcer.announced();
  }

  /**
   * Accepts one job. When this resolves, the job is committed, and every process finds it by its id.
   * @throws InvalidJobError nothing was stored
   * @throws StoreUnavailableError the job is not accepted
   */
  async createJob(
    type: JobType,
    parameters: unknown,
    options: JobOptions &
      Partial<Submitter> &
      Claimed &
      Rerunning &
      Pick<JobRequest, "template" | "asSaid"> = {},
  ): Promise<{ job: Job; prompt: JobPrompt } & Remarks> {
    const submitter = this.#submitterOf(options);
    const { rerunOf, template, asSaid } = options;
    const request: JobRequest = {
      ...{ type, parameters, options, ...(rerunOf !== undefined && { rerunOf }) },
      ...(template !== undefined && { template }),
      ...(asSaid !== undefined && { asSaid }),
    };
    const { newJob, ...remarks } = await prepareJob(this.#options, request, submitter);
    const [job] = await insertOrFind(this.#options, {
      ...{ tenantId: submitter.tenantId, batch: null, jobs: [newJob], claim: options.claim, remarks },
    });
    if (job === undefined) throw new Error("The store returned no job for an insert.");
    this.#announcer.announce([job], { areNew: true });
    return { job, prompt: promptOf(newJob), ...remarks };
  }

  /**
   * Accepts all jobs of a batch, or none of them. `prompts` has the prompts of `jobs`, in the same order.
   * @throws InvalidJobError with paths such as `jobs.3.width`
   */
  async createBatch(
    requests: JobRequest[],
    options: BatchOptions & Partial<Submitter> & Claimed = {},
  ): Promise<{ id: string; jobs: Job[]; prompts: JobPrompt[] } & Remarks> {
    const submitter = this.#submitterOf(options);
    const { newJobs, ...remarks } = await prepareBatch(this.#options, requests, submitter);
    const id = uuidv7();
    const batch = this.#newBatch(id, options);
    const jobs = await insertOrFind(this.#options, {
      ...{ tenantId: submitter.tenantId, batch, jobs: newJobs, claim: options.claim, remarks },
    });
    this.#announcer.announce(jobs, { areNew: true });
    return { id, jobs, prompts: newJobs.map(promptOf), ...remarks };
  }

  /**
   * Makes the jobs of a batch as they would be stored, and refuses what `createBatch` would refuse at this moment.
   * @throws InvalidJobError with paths such as `jobs.3.width`
   * @throws LimitReachedError
   */
  async tryBatch(
    requests: JobRequest[],
    options: BatchOptions,
    submitter: Submitter,
  ): Promise<{ newJobs: NewJob[] } & Remarks> {
    const checked = await prepareBatch(this.#options, requests, submitter);
    const batch = this.#newBatch(uuidv7(), options);
    const { tenantId } = submitter;
    await this.#options.requests.checkJobs({ tenantId, batch, jobs: checked.newJobs });
    return checked;
  }

  /**
   * Cancels a queued job at once, and fails what depends on it; for a running job, asks its worker. A running job becomes
   * `cancelled` only once its server has stopped the prompt.
   * @throws JobNotFoundError
   * @throws JobRemovedError
   */
  async requestCancel({ id }: Job, by?: string, options?: CancelOptions): Promise<CancelResult> {
    const result = await withLostAnswers(async (isAgain) => {
      const answer = await this.#options.requests.requestCancel(id, by, options);
      return isAgain ? this.#ownCancel(present(answer, id)) : present(answer, id);
    });
    if (result.outcome === "ended" || result.outcome === "running") return result;
    if (result.event !== null) this.#publish(result.job, result.event);
    if (result.outcome === "cancelled" && result.passedOn !== undefined)
      publishFailures(this.#options.signals, result.passedOn);
    if (result.outcome === "requested") this.#options.signals.publish("cancel", { jobIds: [id] });
    else await this.#removeTickets([result.job]);
    return result;
  }

  /** If a repeated request finds the job cancelled, the first try of the same request has cancelled it. */
  async #ownCancel(result: CancelResult): Promise<CancelResult> {
    if (result.outcome !== "ended" || result.job.status !== "cancelled") return result;
    const { job } = result;
    const reader = this.#options.reader.of(job.tenantId);
    const [event] = await reader.listEvents(job.id, job.eventSequence - 1, 1);
    return event === undefined ? result : { outcome: "cancelled", job, event };
  }

  /**
   * Cancels all jobs of a batch that have not ended: queued jobs at once, running jobs through their workers.
   * @param before the batch as the caller found it among those of the principal's tenant
   * @throws BatchNotFoundError
   */
  async cancelBatch(before: Batch, by?: string): Promise<{ cancelled: number; requested: number }> {
    const { requests, signals } = this.#options;
    const { isAgain, cancelled, requested, passedOn } = await withLostAnswers(async (again) => ({
      isAgain: again,
      ...(await requests.cancelBatch(before.id, by)),
    }));
    for (const { job, event } of [...cancelled, ...requested]) this.#publish(job, event);
    publishFailures(signals, passedOn);
    if (requested.length > 0) {
      signals.publish("cancel", { jobIds: requested.map(({ job }) => job.id) });
    }
    await this.#removeTickets(cancelled.map(({ job }) => job));
    return isAgain
      ? this.#outcomeOfLostCancel(before)
      : { cancelled: cancelled.length, requested: requested.length };
  }

  /**
   * The first try took effect, but its answer was lost. The counts of the batch show what it did. The tickets of
   * cancelled jobs stay; a worker that takes one drops it.
   */
  async #outcomeOfLostCancel(before: Batch): Promise<{ cancelled: number; requested: number }> {
    const { signals } = this.#options;
    const reader = this.#options.reader.of(before.tenantId);
    const filter = { batchId: before.id, statuses: ["processing" as const], limit: signalledMax };
    const { items } = await reader.listJobs(filter);
    if (items.length > 0) signals.publish("cancel", { jobIds: items.map((job) => job.id) });
    const after = await reader.findBatch(before.id);
    if (after === null) throw new BatchNotFoundError(before.id);
    const { cancelled, processing } = after.counts;
    return { cancelled: cancelled - before.counts.cancelled, requested: processing };
  }

  /**
   * Queues all failed and timed out jobs of a batch again; returns how many.
   * @param batch as the caller found it among those of the principal's tenant
   * @param extraData the secret part, for jobs that were submitted with one; it was erased when they ended
   * @throws ExtraDataNeededError
   * @throws InvalidJobError
   */
  async retryBatch({ id, counts }: Batch, extraData?: unknown, by?: string): Promise<number> {
    const seal = sealAnew(this.#options, extraData);
    const { isAgain, jobs } = await withLostAnswers(async (again) => ({
      isAgain: again,
      jobs: await this.#options.requests.retryBatch(id, seal, by),
    }));
    this.#announcer.announce(jobs, { areNew: false });
    // If the first try took effect, the sweeper adds the tickets of its jobs.
    return isAgain ? counts.failed + counts.timeout : jobs.length;
  }

  /**
   * Queues a job again that failed, timed out or was cancelled.
   * @param before the job as the caller found it among those of the principal's tenant
   * @param extraData the secret part, for a raw graph; it was erased when the job ended
   * @throws IllegalTransitionError
   * @throws ExtraDataNeededError
   * @throws InvalidJobError
   * @throws JobRemovedError
   */
  async retryJob(before: Job, extraData?: unknown, by?: string): Promise<Job> {
    const { requests } = this.#options;
    if (before.type !== "workflow") assertNoExtraData(extraData);
    const seal = sealAnew(this.#options, extraData);
    const job = await withLostAnswers(async (isAgain) => {
      const own = isAgain ? await this.#ownRetry(before) : null;
      return own ?? present(await requests.retryJob(before.id, seal, by), before.id);
    });
    if (job.status === "queued") this.#announcer.announce([job], { areNew: false });
    return job;
  }

  /** The job, if an earlier try of this retry took effect and its answer was lost; else `null`. */
  async #ownRetry({ id, tenantId, eventSequence }: Job): Promise<Job | null> {
    const reader = this.#options.reader.of(tenantId);
    const since = await reader.listEvents(id, eventSequence, 10);
    const wasRetried = since.some(({ type }) => type === "retry_requested");
    return wasRetried ? present(await reader.findJob(id), id) : null;
  }

  /**
   * Removes an ended job with its tickets and files; from then on the API answers 410 for its id. Tickets and files
   * that cannot be removed now, because Redis or the storage is unavailable, are removed later.
   * @throws IllegalTransitionError
   * @throws JobRemovedError
   */
  async removeJob({ id }: Job, by?: Actor): Promise<void> {
    const { requests, signals } = this.#options;
    const removed = await withLostAnswers(async (isAgain) => {
      const answer = await requests.removeJob(id, by, (passedOn) => {
        publishFailures(signals, passedOn);
      });
      // The first try removed the job, and recorded its tickets and files for a later removal.
      return isAgain && answer === "removed" ? null : present(answer, id);
    });
    if (removed !== null) await tryToFinishRemoval(removed, this.#options);
  }

  /**
   * Removes an ended batch with its jobs, as `removeJob` does.
   * @throws BatchNotEndedError
   */
  async removeBatch(batch: Batch, by?: Actor): Promise<void> {
    await removeBatch(this.#options, batch, by);
  }

  #newBatch(id: string, { name = null, labels, webhook }: BatchOptions): NewBatch {
    return {
      ...{ id, name },
      ...(labels !== undefined && { labels }),
      ...(webhook !== undefined && { webhook: this.#options.newWebhook(webhook, id) }),
    };
  }

  #submitterOf({ tenantId, operates, traceparent }: Partial<Submitter>): Submitter {
    return { tenantId: tenantId ?? this.#options.defaultTenantId, operates: operates ?? false, traceparent };
  }

  async #removeTickets(jobs: Job[]): Promise<void> {
    try {
      await this.#options.tickets.remove(jobs.map((job) => ({ ...announcementOf(job), lane: job.lane })));
    } catch (error) {
      this.#options.logger.warn(
        { error },
        "tickets of cancelled jobs could not be removed; a worker that takes one drops it",
      );
    }
  }

  #publish(job: Job, event: JobEvent): void {
    this.#options.signals.publish("job", eventSignal(event, job));
  }
}
