import { type Job, type JobReader, type Principal } from "@genga/jobs";
import { viewOfJob, type JobDetail, type JobView } from "./job-view.ts";
import { viewOfOutput } from "./output-view.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { Sight } from "../access/sight.ts";
import { WaitingReasons, type WaitingReasonsParts } from "./waiting-reason.ts";

/** The client that a view is made for. */
export interface Viewer {
  principal: Principal;
  /** The URL that links begin with. */
  baseUrl: string;
}

/** Views of jobs; the view of one job includes why it waits, or its outputs. */
export class JobDetails {
  readonly #jobs: JobReader;
  readonly #servers: KnownServers;
  readonly #waitingReasons: WaitingReasons;

  constructor(parts: WaitingReasonsParts) {
    this.#jobs = parts.jobs;
    this.#servers = parts.servers;
    this.#waitingReasons = new WaitingReasons(parts);
  }

  async of(job: Job, viewer: Viewer): Promise<JobDetail> {
    const sight = await this.sightOf(viewer.principal);
    const dependsOn = await this.#jobs.of(job.tenantId).listDependencies(job.id);
    const [[view], waitingFor, outputs] = await Promise.all([
      this.viewsOf([job], viewer),
      this.#waitingReasons.of(job, sight, dependsOn),
      job.status === "completed" ? this.#jobs.of(job.tenantId).listOutputs(job.id) : [],
    ]);
    if (view === undefined) throw new Error(`Job ${job.id} has no view.`);
    return {
      ...view,
      dependsOn,
      waitingFor,
      outputs: outputs.map((output) => viewOfOutput(output, viewer.baseUrl)),
    };
  }

  /**
   * Views of any number of jobs of the viewer's tenant, in the order of `jobs`. Queries the database once for all of
   * them.
   */
  async viewsOf(jobs: Job[], { principal, baseUrl }: Viewer): Promise<JobView[]> {
    const [sight, prompts] = await Promise.all([
      this.sightOf(principal),
      this.#jobs.of(principal.tenant.id).findPrompts(jobs.map(({ id }) => id)),
    ]);
    return jobs.map((job) => viewOfJob(job, { sight, prompt: prompts.get(job.id), baseUrl }));
  }

  /** What the principal may see of the servers that are known now. */
  async sightOf(principal: Principal): Promise<Sight> {
    return new Sight(principal, (await this.#servers.farm()).named);
  }
}
