import {
  actorOf,
  BatchNotFoundError,
  InvalidJobError,
  isTerminal,
  JobNotFoundError,
  JobRemovedError,
  type Batch,
  type CancelResult,
  type Job,
  type JobAttempt,
  type JobFilter,
  type JobManager,
  type JobOutput,
  type JobParameters,
  type JobPrompt,
  type JobProblem,
  type JobRequest,
  type Page,
  type Remarks,
  type Actor,
  type Principal,
  type Submitter,
  type WorkflowResolver,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { RefusedError } from "../http/problem-document.ts";
import { type ReadSubmission } from "./submission-body.ts";

const problemsMax = 100;

/**
 * The jobs of one tenant: whatever belongs to another answers as if it did not exist. Ids that cannot be ids are not
 * asked for.
 */
export class OwnJobs {
  readonly #manager: JobManager;
  readonly #resolver: WorkflowResolver;
  readonly #tenantId: string;
  readonly #submitter: Submitter;
  readonly #actor: Actor;

  constructor(parts: { manager: JobManager; resolver: WorkflowResolver }, principal: Principal) {
    this.#manager = parts.manager;
    this.#resolver = parts.resolver;
    this.#tenantId = principal.tenant.id;
    this.#actor = actorOf(principal);
    this.#submitter = { tenantId: this.#tenantId, operates: principal.role === "operate" };
  }

  /** Accepts one job. @throws InvalidJobError with everything that is wrong */
  async create(submission: ReadSubmission): Promise<{ job: Job; prompt: JobPrompt } & Remarks> {
    const { type, parameters, options } = await this.#acceptable(submission);
    return this.#manager.createJob(type, parameters, { ...options, ...this.#submitter });
  }

  /** Accepts all jobs or none. @throws InvalidJobError with everything that is wrong, as far as 100 problems */
  async createBatch(
    name: string | null,
    submissions: ReadSubmission[],
  ): Promise<{ id: string; jobs: Job[]; prompts: JobPrompt[] } & Remarks> {
    const requests: JobRequest[] = [];
    if (submissions.some(({ problems }) => problems.length > 0)) {
      throw new InvalidJobError(await this.#allProblems(submissions));
    }
    for (const { request } of submissions) if (request !== undefined) requests.push(request);
    return this.#manager.createBatch(requests, { name, ...this.#submitter });
  }

  async find(id: string): Promise<Job> {
    if (!isUuid(id)) throw new JobNotFoundError(id.slice(0, 100));
    try {
      const job = await this.#manager.getJob(id.toLowerCase());
      if (job.tenantId !== this.#tenantId) throw new JobNotFoundError(id);
      return job;
    } catch (error) {
      if (!(error instanceof JobRemovedError)) throw error;
      const isOwn = (await this.#manager.ownerOfRemoved(id.toLowerCase())) === this.#tenantId;
      throw isOwn ? error : new JobNotFoundError(id);
    }
  }

  list(filter: Omit<JobFilter, "tenantId">): Promise<Page<Job>> {
    return this.#manager.listJobs({ ...filter, tenantId: this.#tenantId });
  }

  async parameters(id: string): Promise<{ job: Job; parameters: JobParameters }> {
    const job = await this.find(id);
    return { job, parameters: await this.#manager.getParameters(job.id) };
  }

  async outputs(id: string): Promise<{ job: Job; outputs: JobOutput[] }> {
    const job = await this.find(id);
    return { job, outputs: await this.#manager.listOutputs(job.id) };
  }

  async findOutput(id: string): Promise<JobOutput> {
    const output = isUuid(id) ? await this.#manager.findOutput(id.toLowerCase()) : null;
    const isOwn = output !== null && (await this.#isOwn(output.jobId));
    if (!isOwn) throw new RefusedError("output-not-found", `There is no output ${id.slice(0, 100)}.`);
    return output;
  }

  async findBatch(id: string): Promise<Batch> {
    if (!isUuid(id)) throw new BatchNotFoundError(id.slice(0, 100));
    const batch = await this.#manager.getBatch(id.toLowerCase());
    if (batch.tenantId !== this.#tenantId) throw new BatchNotFoundError(id);
    return batch;
  }

  async attempts(id: string): Promise<{ job: Job; attempts: JobAttempt[] }> {
    const job = await this.find(id);
    return { job, attempts: await this.#manager.listAttempts(job.id) };
  }

  async cancelBatch(id: string): Promise<{ cancelled: number; requested: number }> {
    return this.#manager.cancelBatch((await this.findBatch(id)).id, this.#actor.keyName);
  }

  /** @throws InvalidJobError naming node classes that this key may not run */
  async retryBatch(id: string, extraData: unknown): Promise<number> {
    const { id: batchId } = await this.findBatch(id);
    await this.#assertMayRun({ batchId });
    return this.#manager.retryBatch(batchId, extraData, this.#actor.keyName);
  }

  async requestCancel(id: string): Promise<CancelResult> {
    const job = await this.find(id);
    return this.#manager.requestCancel(job.id, this.#actor.keyName);
  }

  /** @throws InvalidJobError @throws IllegalTransitionError @throws ExtraDataNeededError */
  async retry(id: string, extraData: unknown): Promise<Job> {
    const job = await this.find(id);
    if (job.type === "workflow") await this.#assertMayRun({ jobId: job.id });
    return this.#manager.retryJob(job.id, extraData, this.#actor.keyName);
  }

  /** @throws RefusedError `job-not-ended` @throws JobRemovedError */
  async remove(id: string): Promise<void> {
    const job = await this.find(id);
    if (!isTerminal(job.status)) {
      throw new RefusedError(
        "job-not-ended",
        `The job is ${job.status}; cancel it before it can be removed.`,
      );
    }
    await this.#manager.removeJob(job.id, this.#actor);
  }

  /** A job that was removed meanwhile took its outputs with it. */
  async #isOwn(jobId: string): Promise<boolean> {
    try {
      return (await this.#manager.getJob(jobId)).tenantId === this.#tenantId;
    } catch (error) {
      if (error instanceof JobRemovedError || error instanceof JobNotFoundError) return false;
      throw error;
    }
  }

  /** Another key of the tenant, which operates, may have submitted what this one may not run. */
  async #assertMayRun(of: { jobId: string } | { batchId: string }): Promise<void> {
    if (this.#submitter.operates) return;
    await this.#resolver.assertAllowedNodes(await this.#manager.listClassesToRetry(of), this.#submitter);
  }

  async #acceptable(submission: ReadSubmission): Promise<JobRequest> {
    if (submission.request !== undefined && submission.problems.length === 0) return submission.request;
    throw new InvalidJobError([...submission.problems, ...(await this.#parameterProblems(submission))]);
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

  /** What is wrong with the parameters, of a submission that is refused anyway. */
  async #parameterProblems({ request }: ReadSubmission): Promise<JobProblem[]> {
    if (request === undefined) return [];
    try {
      await this.#resolver.resolve(request.type, request.parameters, this.#submitter);
      return [];
    } catch (error) {
      if (error instanceof InvalidJobError) return error.problems;
      throw error;
    }
  }
}
