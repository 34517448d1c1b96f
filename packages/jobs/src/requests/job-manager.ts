import { v7 as uuidv7 } from "uuid";
import {
  type Batch,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobOutput,
  type JobParameters,
  type JobType,
  type NewBatch,
  type NewJob,
} from "../job/job.ts";
import { announcementOf } from "../running/announcement.ts";
import { type Actor } from "../ports/audit-store.ts";
import { AttemptRecorder, eventSignal, type StatusUpdate } from "../running/attempt-recorder.ts";
import { remarksOnAll } from "./batch-remarks.ts";
import { assertNoExtraData, sealAnew } from "../secrets/extra-data.ts";
import { BatchNotFoundError, JobNotFoundError } from "../job/job-errors.ts";
import {
  type AttemptEnd,
  type CancelResult,
  type JobFilter,
  type JobLease,
  type JobStore,
  type Page,
  type QueueSummary,
} from "../ports/job-store.ts";
import { tryToFinishRemoval } from "../running/finish-removal.ts";
import { promptOf, type JobPrompt } from "../job/job-prompt.ts";
import { insertOrFind, withLostAnswers } from "./lost-answer.ts";
import { type OutputStorage } from "../ports/output-storage.ts";
import { prepareBatch, prepareJob, type JobOptions, type JobRequest, type Remarks } from "./prepare-jobs.ts";
import { present } from "./present.ts";
import { type SecretBox } from "../secrets/secret-box.ts";
import { type Signals } from "../ports/signals.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";
import { type NamedClass, type Submitter, type WorkflowResolver } from "../ports/workflow-resolver.ts";

/** Running jobs that are told of a cancellation at once; the others hear of it with their next heartbeat. */
const signalledMax = 1_000;

export interface JobManagerOptions {
  store: JobStore;
  tickets: TicketQueue;
  signals: Signals;
  resolver: WorkflowResolver;
  storage: OutputStorage;
  /** Owner of jobs that come without a tenant. */
  defaultTenantId: string;
  timeoutMsByType: Record<JobType, number>;
  /** Absent: no SECRETS_KEY is set, and what must be kept secret is refused. */
  secretBox?: SecretBox | undefined;
  logger: { warn(details: object, message: string): void };
}

/** The life of a job, seen from outside: accepts, shows, changes and ends jobs. The rules live in PostgreSQL's rows. */
export class JobManager {
  readonly #options: JobManagerOptions;
  readonly #recorder: AttemptRecorder;

  constructor(options: JobManagerOptions) {
    this.#options = options;
    this.#recorder = new AttemptRecorder(options);
  }

  /**
   * Accepts one job: when this resolves it is committed and visible by its id from every process.
   * @throws InvalidJobError nothing was stored
   * @throws StoreUnavailableError nothing was promised
   */
  async createJob(
    type: JobType,
    parameters: unknown,
    options: JobOptions & Partial<Submitter> = {},
  ): Promise<{ job: Job; prompt: JobPrompt } & Remarks> {
    const submitter = this.#submitterOf(options);
    const { newJob, ...remarks } = await prepareJob(this.#options, { type, parameters, options }, submitter);
    const [job] = await this.#insert(submitter.tenantId, null, [newJob]);
    if (job === undefined) throw new Error("The store returned no job for an insert.");
    await this.#announce([job]);
    return { job, prompt: promptOf(newJob), ...remarks };
  }

  /**
   * Accepts all jobs of a batch, or none of them; `prompts` are those of `jobs`, in their order.
   * @throws InvalidJobError with paths such as `jobs.3.width`
   */
  async createBatch(
    requests: JobRequest[],
    options: { name?: string | null } & Partial<Submitter> = {},
  ): Promise<{ id: string; jobs: Job[]; prompts: JobPrompt[] } & Remarks> {
    const submitter = this.#submitterOf(options);
    const prepared = await prepareBatch(this.#options, requests, submitter);
    const id = uuidv7();
    const batch = { id, name: options.name ?? null };
    const newJobs = prepared.map(({ newJob }) => newJob);
    const jobs = await this.#insert(submitter.tenantId, batch, newJobs);
    await this.#announce(jobs);
    const warnings = remarksOnAll(prepared.map((one) => one.warnings));
    const notChecked = remarksOnAll(prepared.map((one) => one.notChecked));
    return { id, jobs, prompts: newJobs.map(promptOf), warnings, notChecked };
  }

  /** @throws JobNotFoundError @throws JobRemovedError */
  async getJob(id: string): Promise<Job> {
    return present(await this.#options.store.findJob(id), id);
  }

  /** Whose job this was before it was removed; `null` = it was not removed. */
  ownerOfRemoved(id: string): Promise<string | null> {
    return this.#options.store.ownerOfRemoved(id);
  }

  /** @throws JobNotFoundError */
  async getParameters(id: string): Promise<JobParameters> {
    const parameters = await this.#options.store.findParameters(id);
    if (parameters === null) throw new JobNotFoundError(id);
    return parameters;
  }

  /** By id, as far as the jobs are there; one statement for all. */
  findPrompts(ids: string[]): Promise<Map<string, JobPrompt>> {
    return this.#options.store.findPrompts(ids);
  }

  /** Newest first. */
  listJobs(filter: JobFilter): Promise<Page<Job>> {
    return this.#options.store.listJobs(filter);
  }

  /** @throws BatchNotFoundError */
  async getBatch(id: string): Promise<Batch> {
    const batch = await this.#options.store.findBatch(id);
    if (batch === null) throw new BatchNotFoundError(id);
    return batch;
  }

  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]> {
    return this.#options.store.listEvents(jobId, afterSequence, limit);
  }

  listOutputs(jobId: string): Promise<JobOutput[]> {
    return this.#options.store.listOutputs(jobId);
  }

  findOutput(id: string): Promise<JobOutput | null> {
    return this.#options.store.findOutput(id);
  }

  summarizeQueue(tenantId?: string): Promise<QueueSummary> {
    return this.#options.store.summarizeQueue(tenantId);
  }

  findRunning(tenantId: string): Promise<{ running: number; max: number | null }> {
    return this.#options.store.findRunning(tenantId);
  }

  countJobsBefore(job: Job): Promise<{ own: number; others: number }> {
    return this.#options.store.countJobsBefore(job);
  }

  /**
   * Ends an attempt: the guarded change of a job's status by whoever holds its lease, recorded once.
   * @throws LeaseLostError somebody else holds the job now, and nothing was changed
   */
  updateJobStatus(lease: JobLease, end: AttemptEnd): Promise<StatusUpdate> {
    return this.#recorder.end(lease, end);
  }

  /**
   * Ends a queued job at once; asks the worker of a processing one. `cancelled` is only written when it is true.
   * @throws JobNotFoundError @throws JobRemovedError
   */
  async requestCancel(id: string, by?: string): Promise<CancelResult> {
    const result = await withLostAnswers(async (isAgain) => {
      const answer = await this.#options.store.requestCancel(id, by);
      return isAgain ? this.#ownCancel(present(answer, id)) : present(answer, id);
    });
    if (result.outcome === "ended") return result;
    if (result.event !== null) this.#publish(result.job, result.event);
    if (result.outcome === "requested") this.#options.signals.publish("cancel", { jobIds: [id] });
    else await this.#removeTickets([result.job]);
    return result;
  }

  /** A cancelled job that is met when the cancellation is repeated was cancelled by it. */
  async #ownCancel(result: CancelResult): Promise<CancelResult> {
    if (result.outcome !== "ended" || result.job.status !== "cancelled") return result;
    const { job } = result;
    const [event] = await this.#options.store.listEvents(job.id, job.eventSequence - 1, 1);
    return event === undefined ? result : { outcome: "cancelled", job, event };
  }

  /**
   * Cancels what has not ended of a batch: queued jobs at once, the others by their workers.
   * @throws BatchNotFoundError
   */
  async cancelBatch(id: string, by?: string): Promise<{ cancelled: number; requested: number }> {
    const { store } = this.#options;
    const before = await this.getBatch(id);
    const { isAgain, cancelled, requested } = await withLostAnswers(async (again) => ({
      isAgain: again,
      ...(await store.cancelBatch(id, by)),
    }));
    for (const { job, event } of [...cancelled, ...requested]) this.#publish(job, event);
    if (requested.length > 0) {
      this.#options.signals.publish("cancel", { jobIds: requested.map(({ job }) => job.id) });
    }
    await this.#removeTickets(cancelled.map(({ job }) => job));
    return isAgain
      ? this.#outcomeOfLostCancel(before)
      : { cancelled: cancelled.length, requested: requested.length };
  }

  /**
   * The first try took effect and only the second was answered: what it did shows in the batch. Its tickets are dropped
   * by whoever takes them.
   */
  async #outcomeOfLostCancel(before: Batch): Promise<{ cancelled: number; requested: number }> {
    const { store, signals } = this.#options;
    const filter = { batchId: before.id, statuses: ["processing" as const], limit: signalledMax };
    const { items } = await store.listJobs(filter);
    if (items.length > 0) signals.publish("cancel", { jobIds: items.map((job) => job.id) });
    const { counts } = await this.getBatch(before.id);
    return { cancelled: counts.cancelled - before.counts.cancelled, requested: counts.processing };
  }

  /**
   * New attempts of all failed and timed out jobs of a batch; how many.
   * @param extraData the secret part, for those that were submitted with one; it was erased when they ended
   * @throws BatchNotFoundError @throws ExtraDataNeededError @throws InvalidJobError
   */
  async retryBatch(id: string, extraData?: unknown, by?: string): Promise<number> {
    const { counts } = await this.getBatch(id);
    const seal = sealAnew(this.#options.secretBox, extraData);
    const { isAgain, jobs } = await withLostAnswers(async (again) => ({
      isAgain: again,
      jobs: await this.#options.store.retryBatch(id, seal, by),
    }));
    await this.#announce(jobs);
    // What the first try restarted is announced by the sweeper.
    return isAgain ? counts.failed + counts.timeout : jobs.length;
  }

  /** The node classes of the raw graphs that a retry of this job, or of this batch, would run. */
  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]> {
    return this.#options.store.listClassesToRetry(of);
  }

  /** Oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]> {
    return this.#options.store.listAttempts(jobId);
  }

  /**
   * A new attempt of a job that failed, timed out or was cancelled.
   * @param extraData the secret part, for a raw graph; it was erased when the job ended
   * @throws IllegalTransitionError @throws ExtraDataNeededError @throws InvalidJobError
   */
  async retryJob(id: string, extraData?: unknown, by?: string): Promise<Job> {
    const { store } = this.#options;
    const before = present(await store.findJob(id), id);
    if (before.type !== "workflow") assertNoExtraData(extraData);
    const seal = sealAnew(this.#options.secretBox, extraData);
    const job = await withLostAnswers(async (isAgain) => {
      const own = isAgain ? await this.#ownRetry(before) : null;
      return own ?? present(await store.retryJob(id, seal, by), id);
    });
    if (job.status === "queued") await this.#announce([job]);
    return job;
  }

  /** The job, if a retry that we asked for took effect although we were not told. */
  async #ownRetry({ id, eventSequence }: Job): Promise<Job | null> {
    const since = await this.#options.store.listEvents(id, eventSequence, 10);
    const wasRetried = since.some(({ type }) => type === "retry_requested");
    return wasRetried ? present(await this.#options.store.findJob(id), id) : null;
  }

  /**
   * Removes an ended job with its tickets and files; its id answers "removed" from then on. What cannot be removed now, since
   * Redis or the storage is away, is removed later. @throws IllegalTransitionError @throws JobRemovedError
   */
  async removeJob(id: string, by?: Actor): Promise<void> {
    const { store } = this.#options;
    const removed = await withLostAnswers(async (isAgain) => {
      const answer = await store.removeJob(id, by);
      // Removed by our first try, which noted what is left to be done.
      return isAgain && answer === "removed" ? null : present(answer, id);
    });
    if (removed !== null) await tryToFinishRemoval(removed, this.#options);
  }

  #submitterOf({ tenantId, operates }: Partial<Submitter>): Submitter {
    return { tenantId: tenantId ?? this.#options.defaultTenantId, operates: operates ?? false };
  }

  #insert(tenantId: string, batch: NewBatch | null, jobs: NewJob[]): Promise<Job[]> {
    return insertOrFind(this.#options.store, { tenantId, batch, jobs });
  }

  /** After the commit. With Redis away nothing is lost: the sweeper announces the rows when it is back. */
  async #announce(jobs: Job[]): Promise<void> {
    const announcements = jobs.map(announcementOf);
    try {
      await this.#options.tickets.add(announcements);
      await this.#options.store.markEnqueued(announcements);
    } catch (error) {
      this.#options.logger.warn(
        { err: error, jobs: jobs.length },
        "accepted jobs could not be announced yet",
      );
    }
  }

  async #removeTickets(jobs: Job[]): Promise<void> {
    try {
      await this.#options.tickets.remove(jobs.map((job) => ({ ...announcementOf(job), lane: job.lane })));
    } catch (error) {
      this.#options.logger.warn(
        { error },
        "tickets of cancelled jobs could not be removed; whoever takes one drops it",
      );
    }
  }

  #publish(job: Job, event: JobEvent): void {
    this.#options.signals.publish("job", eventSignal(event, job.batchId, job.status));
  }
}
