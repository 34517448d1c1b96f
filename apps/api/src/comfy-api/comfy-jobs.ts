import { StoreUnavailableError, type Job, type JobOutput, type JobReader } from "@genga/jobs";
import { Sight } from "../access/sight.ts";
import { type JobDetails, type Viewer } from "../jobs/job-details.ts";
import { type AssetSurroundings, viewOfComfyOutput } from "./asset-view.ts";
import { viewOfComfyJob } from "./comfy-job-view.ts";

interface ComfyJobsParts {
  jobs: JobReader;
  jobDetails: Pick<JobDetails, "sightOf">;
  keeping: AssetSurroundings["keeping"];
}

/** The client that a view is made for, and the path below which it reaches this API. */
export interface ComfyViewer extends Viewer {
  basePath: string;
}

/** Views of jobs as the Comfy API v2 has them. */
export class ComfyJobs {
  readonly #parts: ComfyJobsParts;

  constructor(parts: ComfyJobsParts) {
    this.#parts = parts;
  }

  async of(job: Job, { principal, baseUrl, basePath }: ComfyViewer): Promise<Record<string, unknown>> {
    const { jobDetails, keeping } = this.#parts;
    const own = this.#parts.jobs.of(job.tenantId);
    const hasFailed = job.status === "failed" || job.status === "timeout";
    const [sight, outputs, queuePosition, attempts]: [Sight, JobOutput[], number | null, Attempts] =
      await Promise.all([
        jobDetails.sightOf(principal),
        job.status === "completed" ? own.listOutputs(job.id) : [],
        this.positionOf(job),
        hasFailed ? own.listAttempts(job.id) : [],
      ]);
    const failure = attempts.at(-1)?.failure ?? null;
    return viewOfComfyJob(job, { baseUrl, basePath, keeping, sight, outputs, queuePosition, failure });
  }

  /** A job that was stored just now. Its client must learn its id, so what cannot be read is left out. */
  async ofAccepted(job: Job, viewer: ComfyViewer): Promise<Record<string, unknown>> {
    try {
      return await this.of(job, viewer);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      const { principal, baseUrl, basePath } = viewer;
      const sight = new Sight(principal, []);
      const unknown = { sight, outputs: [], queuePosition: null, failure: null };
      return viewOfComfyJob(job, { baseUrl, basePath, keeping: this.#parts.keeping, ...unknown });
    }
  }

  /** How many of the tenant's own jobs come first; counting stops at 1,000. `null` = the job does not wait. */
  async positionOf(job: Job): Promise<number | null> {
    if (job.status !== "queued") return null;
    return (await this.#parts.jobs.of(job.tenantId).countJobsBefore(job)).own;
  }

  async outputsOf(job: Job, baseUrl: string): Promise<Record<string, unknown>[]> {
    const outputs = await this.#parts.jobs.of(job.tenantId).listOutputs(job.id);
    return outputs.map((output) => viewOfComfyOutput(output, { baseUrl, keeping: this.#parts.keeping }));
  }
}

type Attempts = Awaited<ReturnType<ReturnType<JobReader["of"]>["listAttempts"]>>;
