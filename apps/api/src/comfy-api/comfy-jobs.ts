import { isTerminal, StoreUnavailableError, type Job, type JobReader } from "@genga/jobs";
import { withOutputsShownInText } from "@genga/workflows";
import { Sight } from "../access/sight.ts";
import { type JobDetails, type Viewer } from "../jobs/job-details.ts";
import { type AssetSurroundings, viewOfComfyOutput } from "./asset-view.ts";
import { assetReference } from "./asset-references.ts";
import { viewOfComfyJob } from "./comfy-job-view.ts";
import { NodeClasses } from "./node-classes.ts";

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
  readonly #nodeClasses: NodeClasses;

  constructor(parts: ComfyJobsParts) {
    this.#parts = parts;
    this.#nodeClasses = new NodeClasses(parts.jobs);
  }

  async of(job: Job, { principal, baseUrl, basePath }: ComfyViewer): Promise<Record<string, unknown>> {
    const { jobDetails, keeping } = this.#parts;
    const own = this.#parts.jobs.of(job.tenantId);
    const hasFailed = job.status === "failed" || job.status === "timeout";
    const [sight, outputs, queuePosition, attempts, nodeClass] = await Promise.all([
      jobDetails.sightOf(principal),
      job.status === "completed" ? own.listOutputs(job.id) : [],
      this.positionOf(job),
      hasFailed ? own.listAttempts(job.id) : [],
      isTerminal(job.status) ? null : this.#nodeClasses.of(job, job.progress.node),
    ]);
    const failure = attempts.at(-1)?.failure ?? null;
    const read = { sight, outputs, queuePosition, nodeClass, failure };
    return viewOfComfyJob(job, { baseUrl, basePath, keeping, ...read });
  }

  /** A job that was stored just now. Its client must learn its id, so what cannot be read is left out. */
  async ofAccepted(job: Job, viewer: ComfyViewer): Promise<Record<string, unknown>> {
    try {
      return await this.of(job, viewer);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      const { principal, baseUrl, basePath } = viewer;
      const sight = new Sight(principal, []);
      const unknown = { sight, outputs: [], queuePosition: null, nodeClass: null, failure: null };
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

  /** Tells the class of a node of a job that is watched; `null` = it is not known. */
  nodeClassesOf(job: Job): (node: string | null) => Promise<string | null> {
    return this.#nodeClasses.reader(job);
  }

  /**
   * The graph of a job as it was sent, as JSON text, also with numbers that JavaScript rounds. An output that it reads is named as the
   * asset that it is; one that does not exist yet, or any more, as on our own API.
   */
  async workflowOf({ id, tenantId }: Job): Promise<string | null> {
    const own = this.#parts.jobs.of(tenantId);
    const parameters = await own.findParameters(id);
    if (parameters === null) return null;
    const { workflow, inputs } = parameters;
    const files = await own.findFilesAt(inputs.map(({ from, output }) => ({ jobId: from, index: output })));
    const read = new Map(files.map(({ id: output, jobId, index }) => [`${jobId} ${index}`, output]));
    return withOutputsShownInText(workflow, inputs, ({ from, output }) => {
      const asset = read.get(`${from} ${output}`);
      return asset === undefined ? undefined : assetReference(asset);
    });
  }
}
