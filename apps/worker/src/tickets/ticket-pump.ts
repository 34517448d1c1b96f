import { randomUUID } from "node:crypto";
import {
  type Candidate,
  type Claim,
  type HeldTicket,
  type JobAnnouncer,
  type JobRuns,
  type LaneStore,
  type LeasedJob,
  type ServerStore,
  StoreUnavailableError,
  ticketId,
  type TicketQueue,
  TicketsUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { type OwnedServer } from "../servers/owned-server.ts";
import { Coalescer } from "../timing/coalescer.ts";
import { Eligibility } from "./eligibility.ts";
import { LimitedTenants } from "./limited-tenants.ts";
import {
  countFreeSlots,
  type EmptyElsewhere,
  emptyElsewhereOf,
  type FreeServer,
  freeServersOf,
  takeSlot,
  type TakenSlot,
} from "./free-servers.ts";
import { planTakes, type LaneServer } from "./plan-takes.ts";
import { RunnableCache } from "./runnable-cache.ts";
import { notHereDelayMs, TicketDelays } from "./ticket-delays.ts";

export interface TicketPumpOptions {
  workerId: string;
  runs: Pick<JobRuns, "findJob" | "readCandidates" | "claimJobs">;
  announcer: Pick<JobAnnouncer, "holdBack">;
  servers: ServerStore;
  lanes: LaneStore;
  definitions: DefinitionsStore;
  tickets: TicketQueue;
  leaseMs: number;
  log: Logger;
  /** `false` while this worker is the only one, as far as it knows; then no other worker can have an empty server. */
  hasOtherWorkers: () => boolean;
  /** An operator paused the farm. */
  isPaused: () => boolean;
  /** Servers that may take jobs now. */
  readyServers: () => OwnedServer[];
  /** `true` when this worker runs the job already and keeps the ticket. */
  keepTicket: (ticket: HeldTicket) => boolean;
  start: (leased: LeasedJob, server: OwnedServer, ticket: HeldTicket, leasedSince: number) => void;
}

/** The most rounds in one pass; the rest waits for the next trigger, a second at most. */
const roundsMax = 100;
/** The delay of a ticket whose job another worker runs. */
const elsewhereDelayMs = 5_000;

/** A claim to be made. */
interface Placed extends TakenSlot {
  candidate: Candidate;
}

/** The tickets of a round that are not yet started, kept, finished or given back, by their ids. */
type OpenTickets = Map<string, HeldTicket>;

/**
 * Fills free slots: takes tickets, places each job on a server that can run its graph, claims all rows in one statement
 * and starts the jobs. Runs when a ticket arrives, a slot is freed, or a server becomes available; one pass at a time.
 */
export class TicketPump {
  readonly #options: TicketPumpOptions;
  readonly #passes = new Coalescer(() => this.#pass());
  readonly #canRun: RunnableCache;
  readonly #eligibility: Eligibility;
  readonly #delays = new TicketDelays();
  readonly #limitedTenants = new LimitedTenants();
  #isStopped = false;

  constructor(options: TicketPumpOptions) {
    this.#options = options;
    this.#canRun = new RunnableCache(options.definitions);
    this.#eligibility = new Eligibility(options.lanes);
  }

  /** A server became available or its definitions changed, so jobs that no server could run may now be possible. */
  triggerAnew(): void {
    this.#delays.clear();
    this.trigger();
  }

  /** Whether other jobs of this tenant may wait for the end of one of its jobs. */
  isLimited(tenantId: string): boolean {
    return this.#limitedTenants.has(tenantId);
  }

  /** There may be work for a free slot. */
  trigger(): void {
    if (!this.#isStopped) void this.#passes.trigger();
  }

  /** No pass runs or begins after this. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#passes.whenIdle();
  }

  async #pass(): Promise<void> {
    try {
      for (let round = 0; round < roundsMax && !this.#isStopped; round += 1) {
        if (!(await this.#fill())) return;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) && !(error instanceof TicketsUnavailableError)) {
        this.#options.log.error({ err: error }, "a pass over the tickets failed");
        return;
      }
      this.#options.log.debug({ err: error }, "no tickets can be taken now");
    }
  }

  /** One round; `true` = there may be more to do. */
  async #fill(): Promise<boolean> {
    if (this.#options.isPaused()) return false;
    const freeServers = freeServersOf(this.#options.readyServers());
    if (countFreeSlots(freeServers) === 0) return false;
    const lanes = await this.#options.tickets.lanes();
    if (lanes.length === 0) return false;
    await this.#eligibility.learn(lanes.map(({ lane }) => lane));
    const counts = planTakes(
      freeServers.map((freeServer) => this.#laneServerOf(freeServer)),
      lanes,
    );
    // What is waiting is for other servers. Whatever changes that triggers another pass.
    if (counts.size === 0) return false;
    const tickets = await this.#take(counts);
    if (tickets.length > 0) await this.#useTickets(tickets, freeServers);
    // Another round also follows when no job could be placed or another process was faster: the next tickets may be
    // usable, and the next answer about lanes knows what was taken.
    return true;
  }

  #laneServerOf({ slots, jobsHeld, server }: FreeServer): LaneServer {
    const mayServe = (lane: string): boolean => this.#eligibility.mayServe(server, lane);
    return { slots, jobsHeld, lane: server.model.lane, mayServe };
  }

  /** Takes from all lanes at the same time. */
  async #take(counts: ReadonlyMap<string, number>): Promise<HeldTicket[]> {
    const results = await Promise.allSettled(
      [...counts].map(([lane, count]) => this.#options.tickets.take(lane, count)),
    );
    const taken = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const failed = results.find((result) => result.status === "rejected");
    // Tickets that were taken are used even if Redis went away right afterwards.
    if (failed !== undefined && taken.length === 0) throw failed.reason;
    return taken;
  }

  /** Every ticket ends in exactly one way: started, kept, finished, or given back. */
  async #useTickets(tickets: HeldTicket[], freeServers: FreeServer[]): Promise<void> {
    const open: OpenTickets = new Map(tickets.map((ticket) => [ticketId(ticket), ticket]));
    try {
      const candidates = await this.#options.runs.readCandidates(tickets);
      const places = this.#limitedTenants.placesOf(candidates);
      const placed = await this.#place(candidates, freeServers, places);
      await this.#claim(placed, open);
      await this.#holdBack(open, places);
      await this.#returnUnstarted(open, candidates);
    } catch (error) {
      await Promise.allSettled(
        [...open.values()].map((ticket) =>
          this.#options.tickets.giveBack(ticket, { delayMs: notHereDelayMs }),
        ),
      );
      throw error;
    }
  }

  /** Finds slots for the jobs. @param places how many more jobs limited tenants may have; counted down */
  async #place(
    candidates: Candidate[],
    freeServers: FreeServer[],
    places: Map<string, number>,
  ): Promise<Placed[]> {
    const elsewhere = await this.#emptyElsewhere(freeServers);
    const placed: Placed[] = [];
    for (const candidate of candidates) {
      const left = places.get(candidate.tenantId);
      if (left === 0) continue;
      const slot = await this.#slotOrNone(candidate, freeServers, elsewhere);
      if (slot === null) continue;
      placed.push({ candidate, ...slot });
      if (left !== undefined) places.set(candidate.tenantId, left - 1);
    }
    return placed;
  }

  /** Servers of other workers without a job. Queried only if a second slot could be filled. */
  async #emptyElsewhere(freeServers: FreeServer[]): Promise<EmptyElsewhere[]> {
    const { hasOtherWorkers, servers, workerId } = this.#options;
    if (!hasOtherWorkers() || freeServers.every((freeServer) => freeServer.slots === 1)) return [];
    return emptyElsewhereOf(await servers.listServers(), workerId);
  }

  /** A row with a fault must not keep the others from being placed. */
  async #slotOrNone(
    candidate: Candidate,
    freeServers: FreeServer[],
    elsewhere: EmptyElsewhere[],
  ): Promise<TakenSlot | null> {
    try {
      return await takeSlot(candidate, freeServers, elsewhere, this.#canRun);
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      this.#options.log.error({ err: error, jobId: candidate.jobId }, "a job could not be placed");
      return null;
    }
  }

  async #claim(placed: Placed[], open: OpenTickets): Promise<void> {
    if (placed.length === 0) return;
    const leasedSince = performance.now();
    const claims = placed.map(({ candidate, freeServer }): Claim => ({
      jobId: candidate.jobId,
      attempt: candidate.attempt,
      ticketNumber: candidate.ticketNumber,
      isLimited: candidate.tenantRoom !== null,
      serverId: freeServer.id,
      workerId: this.#options.workerId,
      clientId: freeServer.clientId,
      promptId: randomUUID(),
    }));
    const leased = await this.#options.runs.claimJobs(claims, this.#options.leaseMs);
    for (const job of leased) {
      const slot = placed.find(({ candidate }) => candidate.jobId === job.jobId);
      const id = ticketId({ ...job, ticketNumber: job.job.ticketNumber });
      const ticket = open.get(id);
      if (slot === undefined || ticket === undefined) continue;
      open.delete(id);
      this.#delays.forget(id);
      const { server } = slot.freeServer;
      server.noteJob(ticket.lane, slot.checkpoint);
      this.#options.start(job, server, ticket, leasedSince);
    }
  }

  /**
   * Removes all tickets of tenants that have reached their limit of running jobs, so that these tickets do not stand
   * before those of other tenants. When a job of such a tenant ends, its next job gets a ticket again.
   */
  async #holdBack(open: OpenTickets, places: ReadonlyMap<string, number>): Promise<void> {
    const full = [...places].flatMap(([tenantId, left]) => (left === 0 ? tenantId : []));
    if (full.length === 0 || open.size === 0) return;
    const { announcer, tickets } = this.#options;
    const heldBack = await announcer.holdBack(full);
    await tickets.remove(heldBack.filter((reference) => !open.has(ticketId(reference))));
    for (const reference of heldBack) {
      const ticket = open.get(ticketId(reference));
      if (ticket === undefined) continue;
      await tickets.finish(ticket, {
        kind: "dropped",
        reason: "the tenant has reached its limit of running jobs",
      });
      open.delete(ticketId(reference));
    }
  }

  /**
   * Returns tickets whose jobs were not started: the job runs here already, has no slot now, runs elsewhere, or needs
   * no run any more.
   */
  async #returnUnstarted(open: OpenTickets, candidates: Candidate[]): Promise<void> {
    const claimable = new Map(candidates.map((candidate) => [ticketId(candidate), candidate]));
    const results = await Promise.allSettled(
      [...open].map(async ([id, ticket]) => {
        const candidate = claimable.get(id);
        if (candidate !== undefined) {
          await this.#options.tickets.giveBack(ticket, { delayMs: this.#delayOf(id, candidate) });
        } else if (!this.#options.keepTicket(ticket)) {
          await this.#returnUnclaimable(ticket);
        }
        open.delete(id);
      }),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /**
   * A ticket that only waits for a slot comes back soon; one whose job no server here can run comes back later each
   * time.
   */
  #delayOf(id: string, candidate: Candidate): number {
    const canRunHere = this.#options
      .readyServers()
      .some(
        ({ definitions, labels }) =>
          definitions !== null && this.#canRun.test(candidate, definitions, labels),
      );
    return canRunHere ? notHereDelayMs : this.#delays.lengthen(id);
  }

  /**
   * A stale ticket is dropped, and so is the ticket of a job that must wait and has none on record: when the job is ready,
   * it is announced again.
   */
  async #returnUnclaimable(ticket: HeldTicket): Promise<void> {
    const { runs, tickets } = this.#options;
    const job = await runs.findJob(ticket.jobId);
    if (job !== null && job !== "removed" && job.ticketNumber === ticket.ticketNumber) {
      const runsElsewhere = job.status === "processing" && job.attempt === ticket.attempt;
      const isOnRecord =
        job.status === "queued" && job.attempt + 1 === ticket.attempt && job.enqueuedAt !== null;
      if (runsElsewhere || isOnRecord) {
        await tickets.giveBack(ticket, { delayMs: runsElsewhere ? elsewhereDelayMs : notHereDelayMs });
        return;
      }
    }
    await tickets.finish(ticket, { kind: "dropped", reason: "its job wanted no work any more" });
  }
}
