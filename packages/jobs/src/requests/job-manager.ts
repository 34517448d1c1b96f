import { v7 as uuidv7 } from "uuid";
import { type Batch, type Job, type JobEvent, type JobType } from "../job/job.ts";
import { announcementOf } from "../running/announcement.ts";
import { type Actor } from "../ports/audit-store.ts";
import { eventSignal } from "../running/attempt-recorder.ts";
import { remarksOnAll } from "./batch-remarks.ts";
import { assertNoExtraData, sealAnew, type WriteJson } from "../secrets/extra-data.ts";
import { BatchNotFoundError } from "../job/job-errors.ts";
import { type JobAnnouncer } from "../ports/job-announcer.ts";
import { type JobReader } from "../ports/job-reader.ts";
import { type CancelResult, type JobRequests } from "../ports/job-requests.ts";
import { tryToFinishRemoval } from "../running/finish-removal.ts";
import { promptOf, type JobPrompt } from "../job/job-prompt.ts";
import { insertOrFind, withLostAnswers } from "./lost-answer.ts";
import { type OutputStorage } from "../ports/output-storage.ts";
import { prepareBatch, prepareJob, type JobOptions, type JobRequest, type Remarks } from "./prepare-jobs.ts";
import { present } from "./present.ts";
import { type SecretBox } from "../secrets/secret-box.ts";
import { type Signals } from "../ports/signals.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";
import { type Submitter, type WorkflowResolver } from "../ports/workflow-resolver.ts";

/** Running jobs that are told of a cancellation at once; the others hear of it with their next heartbeat. */
const signalledMax = 1_000;

export interface JobManagerOptions {
  reader: JobReader;
  requests: JobRequests;
  announcer: Pick<JobAnnouncer, "markEnqueued">;
  tickets: TicketQueue;
  signals: Signals;
  resolver: WorkflowResolver;
  storage: OutputStorage;
  /** Owner of jobs that come without a tenant. */
  defaultTenantId: string;
  timeoutMsByType: Record<JobType, number>;
  /** Absent: no SECRETS_KEY is set, and what must be kept secret is refused. */
  secretBox?: SecretBox | undefined;
  /** For what a retry gives again. */
  writeJson: WriteJson;
  logger: { warn(details: object, message: string): void };
}

/**
 * What clients may ask for, with what has to follow it: tickets, signals, files. Accepts jobs; cancels, retries and removes
 * those that the caller has found among the jobs of the tenant that asks. The rules live in PostgreSQL's rows.
 */
export class JobManager {
  readonly #options: JobManagerOptions;

  constructor(options: JobManagerOptions) {
    this.#options = options;
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
    const [job] = await insertOrFind(this.#options, {
      ...{ tenantId: submitter.tenantId, batch: null, jobs: [newJob] },
    });
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
    const jobs = await insertOrFind(this.#options, {
      ...{ tenantId: submitter.tenantId, batch, jobs: newJobs },
    });
    await this.#announce(jobs);
    const warnings = remarksOnAll(prepared.map((one) => one.warnings));
    const notChecked = remarksOnAll(prepared.map((one) => one.notChecked));
    return { id, jobs, prompts: newJobs.map(promptOf), warnings, notChecked };
  }

  /**
   * Ends a queued job at once; asks the worker of a processing one. `cancelled` is only written when it is true.
   * @throws JobNotFoundError @throws JobRemovedError
   */
  async requestCancel({ id }: Job, by?: string): Promise<CancelResult> {
    const result = await withLostAnswers(async (isAgain) => {
      const answer = await this.#options.requests.requestCancel(id, by);
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
    const reader = this.#options.reader.of(job.tenantId);
    const [event] = await reader.listEvents(job.id, job.eventSequence - 1, 1);
    return event === undefined ? result : { outcome: "cancelled", job, event };
  }

  /**
   * Cancels what has not ended of a batch: queued jobs at once, the others by their workers.
   * @param before the batch as the caller found it among those of the tenant that asks
   * @throws BatchNotFoundError
   */
  async cancelBatch(before: Batch, by?: string): Promise<{ cancelled: number; requested: number }> {
    const { requests, signals } = this.#options;
    const { isAgain, cancelled, requested } = await withLostAnswers(async (again) => ({
      isAgain: again,
      ...(await requests.cancelBatch(before.id, by)),
    }));
    for (const { job, event } of [...cancelled, ...requested]) this.#publish(job, event);
    if (requested.length > 0) {
      signals.publish("cancel", { jobIds: requested.map(({ job }) => job.id) });
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
   * New attempts of all failed and timed out jobs of a batch; how many.
   * @param batch as the caller found it among those of the tenant that asks
   * @param extraData the secret part, for those that were submitted with one; it was erased when they ended
   * @throws ExtraDataNeededError @throws InvalidJobError
   */
  async retryBatch({ id, counts }: Batch, extraData?: unknown, by?: string): Promise<number> {
    const seal = sealAnew(this.#options, extraData);
    const { isAgain, jobs } = await withLostAnswers(async (again) => ({
      isAgain: again,
      jobs: await this.#options.requests.retryBatch(id, seal, by),
    }));
    await this.#announce(jobs);
    // What the first try restarted is announced by the sweeper.
    return isAgain ? counts.failed + counts.timeout : jobs.length;
  }

  /**
   * A new attempt of a job that failed, timed out or was cancelled.
   * @param before the job as the caller found it among those of the tenant that asks
   * @param extraData the secret part, for a raw graph; it was erased when the job ended
   * @throws IllegalTransitionError @throws ExtraDataNeededError @throws InvalidJobError @throws JobRemovedError
   */
  async retryJob(before: Job, extraData?: unknown, by?: string): Promise<Job> {
    const { requests } = this.#options;
    if (before.type !== "workflow") assertNoExtraData(extraData);
    const seal = sealAnew(this.#options, extraData);
    const job = await withLostAnswers(async (isAgain) => {
      const own = isAgain ? await this.#ownRetry(before) : null;
      return own ?? present(await requests.retryJob(before.id, seal, by), before.id);
    });
    if (job.status === "queued") await this.#announce([job]);
    return job;
  }

  /** The job, if a retry that we asked for took effect although we were not told. */
  async #ownRetry({ id, tenantId, eventSequence }: Job): Promise<Job | null> {
    const reader = this.#options.reader.of(tenantId);
    const since = await reader.listEvents(id, eventSequence, 10);
    const wasRetried = since.some(({ type }) => type === "retry_requested");
    return wasRetried ? present(await reader.findJob(id), id) : null;
  }

  /**
   * Removes an ended job with its tickets and files; its id answers "removed" from then on. What cannot be removed now, since
   * Redis or the storage is away, is removed later. @throws IllegalTransitionError @throws JobRemovedError
   */
  async removeJob({ id }: Job, by?: Actor): Promise<void> {
    const { requests } = this.#options;
    const removed = await withLostAnswers(async (isAgain) => {
      const answer = await requests.removeJob(id, by);
      // Removed by our first try, which noted what is left to be done.
      return isAgain && answer === "removed" ? null : present(answer, id);
    });
    if (removed !== null) await tryToFinishRemoval(removed, this.#options);
  }

  #submitterOf({ tenantId, operates }: Partial<Submitter>): Submitter {
    return { tenantId: tenantId ?? this.#options.defaultTenantId, operates: operates ?? false };
  }

  /** After the commit. With Redis away nothing is lost: the sweeper announces the rows when it is back. */
  async #announce(jobs: Job[]): Promise<void> {
    const announcements = jobs.map(announcementOf);
    try {
      await this.#options.tickets.add(announcements);
      await this.#options.announcer.markEnqueued(announcements);
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
