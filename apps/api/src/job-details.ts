import { type Job, type JobManager } from "@genga/jobs";
import { viewOfJob, viewOfOutput, type JobDetail } from "./job-view.ts";
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

  async of(job: Job): Promise<JobDetail> {
    const [urls, waitingFor, outputs] = await Promise.all([
      this.serverUrls(),
      this.#waitingReasons.of(job),
      job.status === "completed" ? this.#manager.listOutputs(job.id) : [],
    ]);
    return { ...viewOfJob(job, urls), waitingFor, outputs: outputs.map(viewOfOutput) };
  }

  /** Servers' URLs by id. */
  async serverUrls(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.#servers.farm()).servers.map(({ id, url }) => [id, url]));
  }
}
