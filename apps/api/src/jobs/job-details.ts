import { type Batch, type Job, type JobReader, type Principal } from "@genga/jobs";
import { type z } from "zod";
import { type batchDetailSchema, viewOfBatchDetail } from "./batch-view.ts";
import { viewOfJob, type JobDetail, type JobView } from "./job-view.ts";
import { viewOfOutput } from "./output-view.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { Sight } from "../access/sight.ts";
import { type Etas, viewOfEta } from "./eta-view.ts";
import { thumbnailMediaTypes } from "../thumbnails/draw-thumbnail.ts";
import { type WaitingReasons } from "./waiting-reason.ts";

/** Failed jobs that a batch is shown with. */
const firstErrorsMax = 5;

/** The client that a view is made for. */
export interface Viewer {
  principal: Principal;
  /** The URL that links begin with. */
  baseUrl: string;
}

export interface JobDetailsParts {
  jobs: JobReader;
  servers: KnownServers;
  waitingReasons: WaitingReasons;
  etas: Etas;
}

/** Views of jobs; the view of one job includes why it waits, or its outputs. */
export class JobDetails {
  readonly #jobs: JobReader;
  readonly #servers: KnownServers;
  readonly #waitingReasons: WaitingReasons;
  readonly #etas: Etas;

  constructor(parts: JobDetailsParts) {
    this.#jobs = parts.jobs;
    this.#servers = parts.servers;
    this.#waitingReasons = parts.waitingReasons;
    this.#etas = parts.etas;
  }

  async of(job: Job, viewer: Viewer): Promise<JobDetail> {
    const sight = await this.sightOf(viewer.principal);
    const dependsOn = await this.#jobs.of(job.tenantId).listDependencies(job.id);
    const [[view], waiting, outputs] = await Promise.all([
      this.viewsOf([job], viewer),
      this.#waitingReasons.of(job, sight, dependsOn),
      job.status === "completed" ? this.#jobs.of(job.tenantId).listOutputs(job.id) : [],
    ]);
    if (view === undefined) throw new Error(`Job ${job.id} has no view.`);
    return {
      ...view,
      dependsOn,
      waitingFor: waiting?.reason ?? null,
      ...viewOfEta(await this.#etas.ofJob(job, waiting)),
      outputs: outputs.map((output) => viewOfOutput(output, viewer.baseUrl)),
    };
  }

  /**
   * Views of any number of jobs of the viewer's tenant, in the order of `jobs`. Queries the database twice for all of
   * them.
   */
  async viewsOf(jobs: Job[], { principal, baseUrl }: Viewer): Promise<JobView[]> {
    const ids = jobs.map(({ id }) => id);
    const [sight, shown] = await Promise.all([
      this.sightOf(principal),
      this.#jobs.of(principal.tenant.id).findShown(ids, thumbnailMediaTypes),
    ]);
    return jobs.map((job) => viewOfJob(job, { sight, shown: shown.get(job.id), baseUrl }));
  }

  /** A batch, with its first errors and when it will end. */
  async ofBatch(batch: Batch, { principal, baseUrl }: Viewer): Promise<z.infer<typeof batchDetailSchema>> {
    const hasFailed = batch.counts.failed + batch.counts.timeout > 0;
    const [sight, failed] = await Promise.all([
      this.sightOf(principal),
      hasFailed ? this.#jobs.of(batch.tenantId).listFirstFailed(batch.id, firstErrorsMax) : [],
    ]);
    const eta = viewOfEta(await this.#etas.ofBatch(batch, sight));
    return { ...viewOfBatchDetail(batch, failed, { sight, baseUrl }), ...eta };
  }

  /** What the principal may see of the servers that are known now. */
  async sightOf(principal: Principal): Promise<Sight> {
    return new Sight(principal, (await this.#servers.farm()).named);
  }
}
