import { type Job, type JobManager } from "@genga/jobs";
import { viewOfJob, viewOfOutput, type JobDetail, type JobView } from "./job-view.ts";
import { type KnownServers } from "./known-servers.ts";
import { WaitingReasons } from "./waiting-reason.ts";

/** The whole honest view of a job: with why it waits, or what it made. */
export class JobDetails {
  readonly #manager: JobManager;
  readonly #servers: KnownServers;
  readonly #waitingReasons: WaitingReasons;

  constructor(parts: { manager: JobManager; servers: KnownServers }) {
    this.#manager = parts.manager;
    this.#servers = parts.servers;
    this.#waitingReasons = new WaitingReasons(parts);
  }

  /** @param baseUrl where the links begin */
  async of(job: Job, baseUrl: string): Promise<JobDetail> {
    const [[view], waitingFor, outputs] = await Promise.all([
      this.viewsOf([job], baseUrl),
      this.#waitingReasons.of(job),
      job.status === "completed" ? this.#manager.listOutputs(job.id) : [],
    ]);
    if (view === undefined) throw new Error(`Job ${job.id} has no view.`);
    return { ...view, waitingFor, outputs: outputs.map((output) => viewOfOutput(output, baseUrl)) };
  }

  /** Any number of jobs, in their order; asks the database once for all of them. */
  async viewsOf(jobs: Job[], baseUrl: string): Promise<JobView[]> {
    const [urlOfServer, prompts] = await Promise.all([
      this.#serverUrls(),
      this.#manager.findPrompts(jobs.map(({ id }) => id)),
    ]);
    return jobs.map((job) => viewOfJob(job, { urlOfServer, prompt: prompts.get(job.id), baseUrl }));
  }

  /** Servers' URLs by id. */
  async #serverUrls(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.#servers.farm()).servers.map(({ id, url }) => [id, url]));
  }
}
