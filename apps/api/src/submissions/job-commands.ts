import {
  actorOf,
  type AssetFinder,
  ExtraDataNeededError,
  InvalidJobError,
  isTerminal,
  lacksSecrets,
  problemsAsSaid,
  labelsOf,
  type IdempotencyClaim,
  type Actor,
  type CancelOptions,
  type CancelResult,
  type Job,
  type JobManager,
  type JobPrompt,
  type JobPriority,
  type JobProblem,
  type JobReader,
  type JobRequest,
  type NewJob,
  type Principal,
  type Remarks,
  type StoredParameters,
  type Submitter,
  type TemplateFinder,
  type TenantJobReader,
  type UploadFinder,
  type WorkflowResolver,
} from "@genga/jobs";
import { RefusedError } from "../http/problem-document.ts";
import { foundBatch, foundJob, foundParameters } from "../jobs/found-jobs.ts";
import { changesOfSeeds, jobsToRerun, nameOfRerun, type BatchRerun } from "./batch-rerun.ts";
import { rerunRequestOf, type ReadRerun } from "./rerun-body.ts";
import { templateOfRerun } from "./rerun-template.ts";
import { findAssetFiles, type AssetFile } from "./asset-files.ts";
import { type ReadSubmission } from "./read-submission.ts";
import { findRequestTemplates, type RequestTemplates } from "./request-templates.ts";
import { type ReadBatch } from "./submission-body.ts";

const problemsMax = 100;

/** What a submission may name. */
interface JobFinders {
  templates: TemplateFinder;
  uploads: UploadFinder;
  assets: AssetFinder;
}

/**
 * What a principal may do to the jobs of its tenant. Jobs and batches of other tenants are treated as if they did not
 * exist.
 */
export class JobCommands {
  readonly #manager: JobManager;
  readonly #resolver: WorkflowResolver;
  readonly #jobs: TenantJobReader;
  readonly #submitter: Submitter;
  readonly #actor: Actor;
  readonly #finders: JobFinders;

  constructor(
    parts: { manager: JobManager; jobs: JobReader; resolver: WorkflowResolver } & JobFinders,
    principal: Principal,
    traceparent?: string,
  ) {
    const tenantId = principal.tenant.id;
    this.#finders = parts;
    this.#manager = parts.manager;
    this.#resolver = parts.resolver;
    this.#jobs = parts.jobs.of(tenantId);
    this.#actor = actorOf(principal);
    this.#submitter = { tenantId, operates: principal.role === "operate", traceparent };
  }

  /** The templates that a body names. @throws InvalidJobError @throws StoreUnavailableError */
  async findTemplates(body: unknown, kind: "job" | "batch"): Promise<RequestTemplates> {
    const { tenantId } = this.#submitter;
    return findRequestTemplates(body, kind, { ...this.#finders, tenantId });
  }

  /** What ids of assets stand for in a graph. @throws StoreUnavailableError */
  async findAssetFiles(ids: readonly string[]): Promise<ReadonlyMap<string, AssetFile>> {
    const { tenantId } = this.#submitter;
    return findAssetFiles(ids, { assets: this.#finders.assets, jobs: this.#jobs, tenantId });
  }

  /** Accepts one job. @throws InvalidJobError with every problem of the submission */
  async create(
    submission: ReadSubmission,
    claim?: IdempotencyClaim,
  ): Promise<{ job: Job; prompt: JobPrompt } & Remarks> {
    const { type, parameters, options, ...made } = await this.#acceptable(submission);
    return this.#manager.createJob(type, parameters, { ...options, ...this.#submitter, claim, ...made });
  }

  /**
   * Accepts a job that makes another one again.
   * @throws InvalidJobError @throws ExtraDataNeededError @throws JobNotFoundError @throws JobRemovedError
   */
  async rerun(
    id: string,
    said: ReadRerun,
    claim?: IdempotencyClaim,
  ): Promise<{ job: Job; prompt: JobPrompt } & Remarks> {
    const first = await foundJob(this.#jobs, id);
    const { type, parameters, options, ...others } = await this.#rerunRequest(first, () => said);
    return this.#manager.createJob(type, parameters, { ...options, ...this.#submitter, claim, ...others });
  }

  /**
   * Accepts a batch of jobs that make those of another one again.
   * @throws InvalidJobError @throws ExtraDataNeededError @throws BatchNotFoundError @throws BatchRemovedError
   */
  async rerunBatch(
    id: string,
    { mark, newSeeds = true, name }: BatchRerun,
    claim?: IdempotencyClaim,
  ): Promise<{ id: string; name: string; jobs: Job[]; prompts: JobPrompt[] } & Remarks> {
    const batch = await foundBatch(this.#jobs, id);
    const requests: JobRequest[] = [];
    for (const job of await jobsToRerun(this.#jobs, id, mark)) {
      const saidOf = (stored: StoredParameters): ReadRerun => ({
        changes: newSeeds ? changesOfSeeds(job, stored) : undefined,
        ...{ extraData: undefined, options: {} },
      });
      requests.push(await this.#rerunRequest(job, saidOf));
    }
    const named = nameOfRerun(batch, name);
    const options = {
      name: named,
      labels: { project: batch.project, scene: batch.scene, shot: batch.shot, tags: batch.tags },
      ...this.#submitter,
      claim,
    };
    return { name: named, ...(await this.#manager.createBatch(requests, options)) };
  }

  async #rerunRequest(first: Job, saidOf: (stored: StoredParameters) => ReadRerun): Promise<JobRequest> {
    const stored = await foundParameters(this.#jobs, first);
    const said = saidOf(stored);
    if (stored.hadSecrets && lacksSecrets(said.extraData)) throw new ExtraDataNeededError(1);
    const { type, parameters, options, rerunOf } = rerunRequestOf(first, stored, said);
    const [open, removed, template] = await Promise.all([
      this.#openDependencies(first.id),
      this.#removedOf(stored),
      templateOfRerun(first, stored, said.changes, (wanted) =>
        this.#finders.templates.findTemplates(this.#submitter.tenantId, wanted),
      ),
    ]);
    return {
      ...{ type, parameters, options: { ...options, dependsOn: open }, rerunOf: { ...rerunOf, removed } },
      ...(template !== undefined && { template }),
    };
  }

  /** What the job still waits for, a rerun waits for, too. */
  async #openDependencies(id: string): Promise<string[]> {
    const needed = await this.#jobs.listDependencies(id);
    return needed.filter(({ isMet }) => !isMet).map(({ jobId }) => jobId);
  }

  /** The jobs whose outputs it reads, and which were removed. */
  async #removedOf({ inputs }: StoredParameters): Promise<ReadonlySet<string>> {
    const named = new Set(inputs.map(({ from }) => from));
    for (const { id } of await this.#jobs.findJobs([...named])) named.delete(id);
    return named;
  }

  /** Accepts all jobs or none. @throws InvalidJobError with all problems, at most 100 */
  async createBatch(
    { name, options, submissions }: ReadBatch,
    claim?: IdempotencyClaim,
  ): Promise<{ id: string; jobs: Job[]; prompts: JobPrompt[] } & Remarks> {
    return this.#manager.createBatch(await this.#allAcceptable(submissions), {
      name,
      labels: labelsOf(options),
      ...(options.webhook !== undefined && { webhook: options.webhook }),
      ...this.#submitter,
      claim,
    });
  }

  /**
   * Judges all jobs as `createBatch` does, and stores nothing.
   * @throws InvalidJobError with all problems, at most 100
   * @throws LimitReachedError
   */
  async tryBatch({ name, options, submissions }: ReadBatch): Promise<{ newJobs: NewJob[] } & Remarks> {
    const requests = await this.#allAcceptable(submissions);
    return this.#manager.tryBatch(requests, { ...options, name, labels: labelsOf(options) }, this.#submitter);
  }

  /** @throws BatchNotFoundError */
  async cancelBatch(id: string): Promise<{ cancelled: number; requested: number }> {
    return this.#manager.cancelBatch(await foundBatch(this.#jobs, id), this.#actor.keyName);
  }

  /** @throws BatchNotFoundError @throws InvalidJobError naming node classes that this key may not run */
  async retryBatch(id: string, extraData: unknown): Promise<number> {
    const batch = await foundBatch(this.#jobs, id);
    await this.#assertMayRun({ batchId: batch.id });
    return this.#manager.retryBatch(batch, extraData, this.#actor.keyName);
  }

  /** @throws JobNotFoundError @throws JobRemovedError */
  async requestCancel(id: string, options?: CancelOptions): Promise<CancelResult> {
    return this.#manager.requestCancel(await foundJob(this.#jobs, id), this.#actor.keyName, options);
  }

  /** @throws InvalidJobError @throws IllegalTransitionError @throws ExtraDataNeededError @throws JobRemovedError */
  async retry(id: string, extraData: unknown): Promise<Job> {
    const job = await foundJob(this.#jobs, id);
    if (job.type === "workflow") await this.#assertMayRun({ jobId: job.id });
    return this.#manager.retryJob(job, extraData, this.#actor.keyName);
  }

  /** @throws RefusedError `batch-already-ended` @throws BatchNotFoundError */
  async pauseBatch(id: string): Promise<void> {
    const batch = await foundBatch(this.#jobs, id);
    if (batch.counts.queued + batch.counts.processing === 0) {
      throw new RefusedError(
        "batch-already-ended",
        "All jobs of the batch have ended; nothing can be paused.",
      );
    }
    await this.#manager.waiting.pauseBatch(batch, this.#actor.keyName);
  }

  /** @throws BatchNotFoundError */
  async resumeBatch(id: string): Promise<void> {
    await this.#manager.waiting.resumeBatch(await foundBatch(this.#jobs, id), this.#actor.keyName);
  }

  /** @throws RefusedError when the job does not wait @throws JobNotFoundError @throws JobRemovedError */
  async pauseJob(id: string): Promise<Job> {
    const found = await foundJob(this.#jobs, id);
    return asWaiting(await this.#manager.waiting.pauseJob(found, this.#actor.keyName));
  }

  /** @throws RefusedError when the job does not wait @throws JobNotFoundError @throws JobRemovedError */
  async resumeJob(id: string): Promise<Job> {
    const found = await foundJob(this.#jobs, id);
    return asWaiting(await this.#manager.waiting.resumeJob(found, this.#actor.keyName));
  }

  /** @throws BatchNotFoundError @throws BatchRemovedError */
  async changePriorityOfBatch(id: string, priority: JobPriority): Promise<void> {
    const batch = await foundBatch(this.#jobs, id);
    await this.#manager.waiting.changePriorityOfBatch(batch, priority, this.#actor.keyName);
  }

  /** @throws RefusedError when the job does not wait @throws JobNotFoundError @throws JobRemovedError */
  async changePriorityOfJob(id: string, priority: JobPriority): Promise<Job> {
    const job = await foundJob(this.#jobs, id);
    return asWaiting(await this.#manager.waiting.changePriorityOfJob(job, priority, this.#actor.keyName));
  }

  /** @throws BatchNotEndedError @throws BatchNotFoundError @throws BatchRemovedError */
  async removeBatch(id: string): Promise<void> {
    await this.#manager.removeBatch(await foundBatch(this.#jobs, id), this.#actor);
  }

  /** @throws RefusedError `job-not-ended` @throws JobRemovedError */
  async remove(id: string): Promise<void> {
    const job = await foundJob(this.#jobs, id);
    if (!isTerminal(job.status)) {
      throw new RefusedError(
        "job-not-ended",
        `The job is ${job.status}; cancel it before it can be removed.`,
      );
    }
    await this.#manager.removeJob(job, this.#actor);
  }

  /**
   * Refuses a retry of node classes that only operators may run, unless this key has the role `operate`: a key with
   * that role may have submitted the job.
   */
  async #assertMayRun(of: { jobId: string } | { batchId: string }): Promise<void> {
    if (this.#submitter.operates) return;
    await this.#resolver.assertAllowedNodes(await this.#jobs.listClassesToRetry(of), this.#submitter);
  }

  async #acceptable(submission: ReadSubmission): Promise<JobRequest> {
    if (submission.request !== undefined && submission.problems.length === 0) return submission.request;
    throw new InvalidJobError([...submission.problems, ...(await this.#parameterProblems(submission))]);
  }

  async #allAcceptable(submissions: ReadSubmission[]): Promise<JobRequest[]> {
    if (submissions.some(({ problems }) => problems.length > 0)) {
      throw new InvalidJobError(await this.#allProblems(submissions));
    }
    return submissions.flatMap(({ request }) => request ?? []);
  }

  async #allProblems(submissions: ReadSubmission[]): Promise<JobProblem[]> {
    const all: JobProblem[] = [];
    for (const [index, submission] of submissions.entries()) {
      const ofParameters = await this.#parameterProblems(submission);
      const at = `jobs.${index}`;
      all.push(...submission.problems);
      all.push(...ofParameters.map((problem) => ({ ...problem, path: `${at}.${problem.path}` })));
      if (all.length >= problemsMax) break;
    }
    return all.slice(0, problemsMax);
  }

  /** The problems of the parameters, for a submission that is refused in any case. */
  async #parameterProblems({ request }: ReadSubmission): Promise<JobProblem[]> {
    if (request === undefined) return [];
    try {
      const { type, parameters, options } = request;
      await this.#resolver.resolve(type, parameters, this.#submitter, undefined, options?.requires);
      return [];
    } catch (error) {
      if (error instanceof InvalidJobError) return problemsAsSaid(request, error);
      throw error;
    }
  }
}

/** Only a queued job waits. */
function asWaiting(job: Job): Job {
  if (job.status === "queued") return job;
  if (job.status === "processing") throw new RefusedError("job-running", "The job runs already.");
  throw new RefusedError("job-already-ended", `The job is ${job.status} already.`);
}
