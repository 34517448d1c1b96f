import { type HeldTicket, type JobRuns, type LeasedJob } from "@genga/jobs";
import { type OutageGuard } from "../timing/outage-guard.ts";
import { waitedMs } from "../metrics/run-metrics.ts";
import { type JobServer } from "./job-server.ts";
import { processJob, type ProcessJobOptions } from "./process-job.ts";
import { Run } from "./run.ts";

export interface RunningJobsOptions extends ProcessJobOptions {
  workerId: string;
  runs: Pick<JobRuns, "adoptJobs" | "listAttempts" | "listOwned" | "releaseLeases" | "renewLeases">;
  guard: OutageGuard;
  /** Newest first. */
  secretsKeys: readonly string[];
  /** Whether this worker owns the server now. */
  owns: (server: JobServer) => boolean;
  /** Called when a run has ended, so that this worker no longer works on the job. */
  onEnded: (leased: LeasedJob) => void;
}

interface Begin {
  leased: LeasedJob;
  server: JobServer;
  ticket: HeldTicket | null;
  leasedSince: number;
  wasAdopted: boolean;
}

interface RunningJob {
  run: Run;
  server: JobServer;
  ended: Promise<void>;
}

/** The jobs that this worker runs: starts and adopts them, renews their leases, stops them. */
export class RunningJobs {
  readonly #options: RunningJobsOptions;
  /** The latest run of each job. */
  readonly #latest = new Map<string, RunningJob>();
  /** All runs that have not ended; an earlier one of a job that was adopted again may still be ending. */
  readonly #all = new Set<RunningJob>();

  constructor(options: RunningJobsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#latest.size;
  }

  /** Runs on this server, also those whose outputs are being saved. */
  countOn(server: JobServer): number {
    return [...this.#all].filter((running) => running.server === server).length;
  }

  /**
   * Starts a job that was just claimed.
   * @param ticket `null` = the job was claimed without one, for a server for which its prompt had been taken back
   * @param leasedSince when the claim was sent, by the monotonic clock
   */
  start(leased: LeasedJob, server: JobServer, ticket: HeldTicket | null, leasedSince: number): void {
    this.#start({ leased, server, ticket, leasedSince, wasAdopted: false }, Promise.resolve());
  }

  /** Takes over the jobs of a dead or stopped worker on these servers, and watches their prompts. */
  async adoptOn(servers: readonly JobServer[]): Promise<void> {
    const { runs, workerId, leaseMs, guard, log } = this.#options;
    if (servers.length === 0 || !guard.mayTakeOver) return;
    const byId = new Map(servers.map((server) => [server.id, server]));
    const leasedSince = performance.now();
    const adopted = await guard.watch(runs.adoptJobs([...byId.keys()], workerId, leaseMs));
    for (const leased of adopted) {
      const server = byId.get(leased.serverId);
      if (server === undefined) continue;
      const { jobId, attempt, promptId } = leased;
      log.info({ jobId, attempt, promptId, server: server.url }, "job adopted");
      this.#options.metrics.noteRecovered("adopted");
      // The job may be this worker's own, if its lease expired during a pause or an outage and no other worker adopted
      // the job. Its earlier run ends first, since only one run may watch a prompt.
      const earlier = this.#latest.get(leased.jobId);
      earlier?.run.stop("lease-lost");
      const begin = { leased, server, ticket: null, leasedSince, wasAdopted: true };
      this.#start(begin, earlier?.ended ?? Promise.resolve());
    }
  }

  /** Renews the leases; runs whose lease another worker took are stopped, and cancel requests are passed on. */
  async renewLeases(): Promise<void> {
    const runs = [...this.#latest.values()].map(({ run }) => run);
    if (runs.length === 0) return;
    const { leaseMs, guard } = this.#options;
    const sentAt = performance.now();
    const leases = runs.map((run) => run.leased);
    const { held, cancelRequested, takeBackAsked } = await guard.watch(
      this.#options.runs.renewLeases(leases, leaseMs),
    );
    const stillOurs = new Set(held.map((lease) => `${lease.jobId} ${lease.leaseNumber}`));
    for (const run of runs) {
      if (stillOurs.has(`${run.jobId} ${run.leased.leaseNumber}`)) run.lease.renewed(sentAt);
      else run.stop("lease-lost");
    }
    this.cancel(cancelRequested);
    this.takeBack(takeBackAsked);
  }

  /** Ends the prompts of those jobs that run here. */
  cancel(jobIds: readonly string[]): void {
    for (const jobId of jobIds) this.#latest.get(jobId)?.run.requestCancel();
  }

  /** Takes back the waiting prompts of those jobs that run here, if that is still wanted. */
  takeBack(jobIds: readonly string[]): void {
    for (const jobId of jobIds) this.#latest.get(jobId)?.run.onTakeBackAsked?.();
  }

  /** Keeps a ticket of a job that runs here. `false`: none of the jobs wants it. */
  keepTicket(ticket: HeldTicket): boolean {
    return this.#latest.get(ticket.jobId)?.run.keepTicket(ticket) ?? false;
  }

  /**
   * This worker no longer owns the server: stops the runs on it and waits for their end. After a hand-over the
   * successor may adopt the jobs at once, except for a job whose POST may still arrive: its lease expires by itself,
   * and no POST outlives its lease.
   */
  async leave(server: JobServer, why: "lease-lost" | "hand-over"): Promise<void> {
    const onServer = [...this.#all].filter((running) => running.server === server);
    for (const { run } of onServer) run.stop(why);
    await Promise.all(onServer.map(({ ended }) => ended));
    if (why !== "hand-over") return;
    const released = onServer.filter(({ run }) => !run.mayStillArrive);
    await this.#options.runs.releaseLeases(released.map(({ run }) => run.leased));
  }

  #start({ leased, server, ticket, leasedSince, wasAdopted }: Begin, after: Promise<void>): void {
    if (!this.#options.owns(server)) {
      // The server was lost or handed over while the job was being claimed: its next owner adopts the job.
      void this.#giveBack(leased, ticket);
      return;
    }
    const { leaseMs, secretsKeys, onEnded } = this.#options;
    const run = new Run({
      ...{ leased, ticket, wasAdopted },
      ...{ leaseMs, leasedSince, secretsKeys },
    });
    const waited = wasAdopted ? null : waitedMs(leased.job);
    if (!wasAdopted) this.#options.metrics.noteClaimed(leased.job, waited);
    server.addRun(run, waited);
    const ended = after
      .then(() => processJob(run, server, this.#options))
      .finally(() => {
        server.removeRun(run);
        this.#all.delete(running);
        if (this.#latest.get(run.jobId) === running) this.#latest.delete(run.jobId);
        onEnded(leased);
      });
    const running: RunningJob = { run, server, ended };
    this.#all.add(running);
    this.#latest.set(run.jobId, running);
  }

  /**
   * Gives back a job that was not started. If the lease cannot be released, the ticket is given back all the same:
   * otherwise this worker would hold and renew it for ever.
   */
  async #giveBack(leased: LeasedJob, ticket: HeldTicket | null): Promise<void> {
    const { runs, tickets, log } = this.#options;
    const results = await Promise.allSettled([
      runs.releaseLeases([leased]),
      ticket === null ? null : tickets.giveBack(ticket, { delayMs: 1_000 }),
    ]);
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      const err: unknown = result.reason;
      const { jobId, attempt, promptId } = leased;
      log.warn(
        { err, jobId, attempt, promptId },
        "a lease or a ticket could not be handed back and runs out",
      );
    }
  }
}
