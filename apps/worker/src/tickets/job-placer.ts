import { type Candidate, defaultLane, type ServerStore, StoreUnavailableError, ticketId } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type LaneKnowledge } from "../lanes/lane-knowledge.ts";
import {
  deepest,
  type EmptyElsewhere,
  emptyElsewhereOf,
  type FreeServer,
  type RunsOf,
  takeSlot,
  type TakenSlot,
} from "./free-servers.ts";
import { LeftForOthers } from "./left-for-others.ts";
import { type RunnableCache } from "./runnable-cache.ts";

export interface JobPlacerOptions {
  workerId: string;
  servers: Pick<ServerStore, "listServers">;
  canRun: RunnableCache;
  knowledge: Pick<LaneKnowledge, "laneNamed">;
  runsOf: RunsOf;
  /** `false` while this worker is the only one, as far as it knows; then no other worker can have an empty server. */
  hasOtherWorkers: () => boolean;
  log: Logger;
}

/** A job and the slot that was taken for it. */
export interface Placed extends TakenSlot {
  candidate: Candidate;
}

/** The servers for which tickets of each lane were taken. */
export type ServersByLane = Map<string, FreeServer[]>;

/** Where the jobs of a round may go. */
export interface Where {
  /** The servers that were chosen for each lane. */
  servers: ServersByLane;
  freeServers: FreeServer[];
  /** Servers of other workers without a job; asked for once. */
  elsewhere: () => Promise<EmptyElsewhere[]>;
}

/** Chooses a free slot for each job whose ticket was taken. */
export class JobPlacer {
  readonly #options: JobPlacerOptions;
  readonly #leftForOthers = new LeftForOthers();

  constructor(options: JobPlacerOptions) {
    this.#options = options;
  }

  /**
   * Finds slots for the jobs: on the servers for which tickets of their lane were taken, or, if none of these can run the
   * job or it failed there, on any other.
   * @param places how many more jobs limited tenants may have; counted down
   * @throws StoreUnavailableError
   */
  async place(
    candidates: readonly Candidate[],
    { servers, freeServers, ...where }: Where,
    places: Map<string, number>,
  ): Promise<Placed[]> {
    const elsewhere = candidates.some((candidate) => failedOnOneOf(candidate, freeServers))
      ? await this.#allEmptyElsewhere()
      : await where.elsewhere();
    const placed: Placed[] = [];
    for (const candidate of candidates) {
      const left = places.get(candidate.tenantId);
      if (left === 0) continue;
      const chosen = servers.get(candidate.lane) ?? [];
      const slot = await this.#slotOrNone(candidate, { chosen, freeServers, elsewhere });
      if (slot === null) continue;
      placed.push({ candidate, ...slot });
      if (left !== undefined) places.set(candidate.tenantId, left - 1);
    }
    return placed;
  }

  /**
   * Servers of other workers without a job. Queried only if more than one job of a server could be placed.
   * @throws StoreUnavailableError
   */
  async emptyElsewhere(freeServers: readonly FreeServer[]): Promise<EmptyElsewhere[]> {
    const { runsOf } = this.#options;
    if (freeServers.every((freeServer) => deepest(freeServer, runsOf) === 1)) return [];
    return this.#allEmptyElsewhere();
  }

  async #allEmptyElsewhere(): Promise<EmptyElsewhere[]> {
    const { hasOtherWorkers, servers, workerId } = this.#options;
    return hasOtherWorkers() ? emptyElsewhereOf(await servers.listServers(), workerId) : [];
  }

  #suits({ avoidServerId, ...candidate }: Candidate, { id, server }: FreeServer): boolean {
    const { definitions, labels } = server;
    return (
      id !== avoidServerId &&
      definitions !== null &&
      this.#options.canRun.test(candidate, definitions, labels)
    );
  }

  /** Those of the empty servers that would start the job sooner than a server that has its model and is busy. */
  #startingSooner({ lane }: Candidate, elsewhere: EmptyElsewhere[]): EmptyElsewhere[] {
    const { model, runMs, loadMs } = this.#options.knowledge.laneNamed(lane);
    if (lane === defaultLane || model === null || loadMs <= runMs) return elsewhere;
    return elsewhere.filter(({ loadedModel }) => loadedModel === model);
  }

  /** A row with a fault must not keep the others from being placed. */
  async #slotOrNone(
    asked: Candidate,
    where: { chosen: FreeServer[]; freeServers: FreeServer[]; elsewhere: EmptyElsewhere[] },
  ): Promise<TakenSlot | null> {
    const { canRun, runsOf, log } = this.#options;
    const { jobId } = asked;
    const now = performance.now();
    const ticket = ticketId(asked);
    const candidate = this.#leftForOthers.hasWaited(ticket, now) ? { ...asked, avoidServerId: null } : asked;
    try {
      const suiting = where.chosen.filter((server) => this.#suits(candidate, server));
      const among = isWorthIt(candidate, suiting) ? suiting : where.freeServers;
      const failedHere = failedOnOneOf(candidate, among);
      // Where it failed last, it would probably fail again, so even a server that must load its model is better.
      const elsewhere = failedHere ? where.elsewhere : this.#startingSooner(candidate, where.elsewhere);
      const slot = await takeSlot(candidate, among, elsewhere, { canRun, runsOf });
      if (slot !== null) this.#leftForOthers.forget(ticket);
      else if (failedHere) this.#leftForOthers.note(ticket, now);
      return slot;
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      log.error({ err: error, jobId }, "a job could not be placed");
      return null;
    }
  }
}

/** Behind a running job only if there is no empty server to compare with, or if that one has not memory enough. */
function isWorthIt({ avoidServerId, ranOutOfMemory }: Candidate, suiting: readonly FreeServer[]): boolean {
  if (avoidServerId === null || ranOutOfMemory === true) return suiting.length > 0;
  return suiting.some(({ jobsHeld }) => jobsHeld === 0);
}

/** The job failed last on one of these servers. */
function failedOnOneOf({ avoidServerId }: Candidate, freeServers: readonly FreeServer[]): boolean {
  return freeServers.some(({ id }) => id === avoidServerId);
}
