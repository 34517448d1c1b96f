import { randomUUID } from "node:crypto";
import { mainModelOf, needsOf, parseWorkflow } from "@genga/comfyui";
import { type Claim, type LeasedJob, type TakeBacks, type TakenBack } from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";

export interface TakenBackJobsOptions {
  workerId: string;
  leaseMs: number;
  takeBacks: Pick<TakeBacks, "claim">;
}

/** A job that was claimed for the server for which its prompt was taken back. */
export interface ClaimedForServer {
  leased: LeasedJob;
  server: OwnedServer;
  /** The main model of the job. */
  model: string | null;
  /** When the claim was sent, by the monotonic clock. */
  leasedSince: number;
}

const waitingMax = 1_000;

/** Jobs that were queued for servers of this worker alone, until they are claimed. */
export class TakenBackJobs {
  readonly #options: TakenBackJobsOptions;
  #waiting: TakenBack[] = [];

  constructor(options: TakenBackJobsOptions) {
    this.#options = options;
  }

  /** If there are too many, the sweeper gives the job a ticket a few seconds later. */
  add(job: TakenBack): void {
    if (this.#waiting.length < waitingMax) this.#waiting.push(job);
  }

  /**
   * Claims those whose server still stands empty; the others get tickets a few seconds later.
   * @param ready this worker's servers that take work @throws StoreUnavailableError
   */
  async claim(ready: readonly OwnedServer[]): Promise<ClaimedForServer[]> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const servers = new Map(
      ready.filter(({ jobsHeld }) => jobsHeld === 0).map((server) => [server.id, server]),
    );
    const claims = new Map<string, Claim>();
    for (const { jobId, attempt, ticketNumber, serverId } of waiting) {
      const server = servers.get(serverId);
      if (server === undefined || claims.has(serverId)) continue;
      const { clientId } = server.connector;
      const { workerId } = this.#options;
      const claim = { jobId, attempt, ticketNumber, serverId, workerId, clientId, promptId: randomUUID() };
      claims.set(serverId, claim);
    }
    if (claims.size === 0) return [];
    const leasedSince = performance.now();
    const claimed = await this.#options.takeBacks.claim([...claims.values()], this.#options.leaseMs);
    return claimed.flatMap((leased) => {
      const server = servers.get(leased.serverId);
      const model = mainModelOf(needsOf(parseWorkflow(leased.workflow)).models);
      return server === undefined ? [] : { leased, server, model, leasedSince };
    });
  }
}
