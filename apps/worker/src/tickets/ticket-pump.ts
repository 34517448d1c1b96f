import { needsOf, parseWorkflow } from "@genga/comfyui";
import { randomUUID } from "node:crypto";
import {
  type Candidate,
  type Claim,
  type HeldTicket,
  type JobAnnouncer,
  type JobRuns,
  type LeasedJob,
  type ServerStore,
  type TicketQueue,
  StoreUnavailableError,
  TicketsUnavailableError,
  defaultLane,
  takesWork,
  ticketId,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { Coalescer } from "../timing/coalescer.ts";
import { type OwnedServer } from "../servers/owned-server.ts";
import { placeJob, type PlaceableServer } from "./placement.ts";
import { RunnableCache } from "./runnable-cache.ts";

export interface TicketPumpOptions {
  workerId: string;
  runs: Pick<JobRuns, "findJob" | "readCandidates" | "claimJobs">;
  announcer: Pick<JobAnnouncer, "holdBack">;
  servers: ServerStore;
  definitions: DefinitionsStore;
  tickets: TicketQueue;
  leaseMs: number;
  log: Logger;
  /** `false` while this worker is the only one, as far as it knows: then no server stands empty elsewhere. */
  hasOtherWorkers: () => boolean;
  /** An operator keeps the whole farm from beginning anything new. */
  isPaused: () => boolean;
  /** Servers that may take jobs now. */
  readyServers: () => OwnedServer[];
  /** `true` when this worker runs the job already and keeps the ticket. */
  keepTicket: (ticket: HeldTicket) => boolean;
  start: (leased: LeasedJob, server: OwnedServer, ticket: HeldTicket, leasedSince: number) => void;
}

/** A ticket that nobody here can use now comes back after this long, twice as long each time. */
const notHereDelayMs = 1_000;
const notHereDelayMaxMs = 30_000;
/** Tickets whose delays are remembered. */
const delaysMax = 10_000;
/** Rounds of one pass; what is left then waits for the next trigger, a second at most. */
const roundsMax = 100;
/** Tenants that are remembered as limited. */
const limitedTenantsMax = 10_000;
/** A ticket of a job that another worker runs. */
const elsewhereDelayMs = 5_000;

/** A server of another worker without a job. */
interface EmptyElsewhere {
  id: string;
  definitionsHash: string;
}

/** A server's free slots, counted down while a pass fills them. */
interface Room extends PlaceableServer {
  server: OwnedServer;
  clientId: string;
}

/**
 * Fills free slots: takes tickets, places each on a server that can run its graph, claims all rows in one statement and
 * starts them. Runs when a ticket arrives, a slot is freed, a server comes; one pass at a time.
 */
export class TicketPump {
  readonly #options: TicketPumpOptions;
  readonly #passes = new Coalescer(() => this.#pass());
  readonly #runnable: RunnableCache;
  readonly #delays = new Map<string, number>();
  /** Tenants that may have a limited number of jobs running, as far as their tickets came here. */
  readonly #limitedTenants = new Set<string>();
  #isStopped = false;

  constructor(options: TicketPumpOptions) {
    this.#options = options;
    this.#runnable = new RunnableCache(options.definitions);
  }

  /** A server came, or what it can run changed: what fitted nowhere may fit now. */
  triggerAnew(): void {
    this.#delays.clear();
    this.trigger();
  }

  /** Whether the end of one of its jobs is what others of its jobs may wait for. */
  isLimited(tenantId: string): boolean {
    return this.#limitedTenants.has(tenantId);
  }

  /** Something changed: look whether there is work for a free slot. */
  trigger(): void {
    if (!this.#isStopped) void this.#passes.trigger();
  }

  /** No pass runs or begins after this. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#passes.settle();
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
    const rooms = this.#options
      .readyServers()
      .filter((server) => server.jobsHeld < server.slots)
      .map(roomOf);
    const count = rooms.reduce((sum, room) => sum + room.slots - room.jobsHeld, 0);
    if (count === 0) return false;
    const tickets = await this.#options.tickets.take(defaultLane, count);
    if (tickets.length === 0) return false;
    // Also when nothing fitted: what fits may stand behind it.
    await this.#place(tickets, rooms);
    return tickets.length === count;
  }

  /** Every ticket ends in exactly one way: started, kept, finished, or given back. */
  async #place(tickets: HeldTicket[], rooms: Room[]): Promise<void> {
    const unsettled = new Map(tickets.map((ticket) => [ticketId(ticket), ticket]));
    try {
      const candidates = await this.#options.runs.readCandidates(tickets);
      const elsewhere = await this.#emptyElsewhere(rooms);
      const placed: { candidate: Candidate; room: Room }[] = [];
      const places = this.#placesOf(candidates);
      for (const candidate of candidates) {
        const left = places.get(candidate.tenantId);
        if (left === 0) continue;
        const room = await this.#roomOrNone(candidate, rooms, elsewhere);
        if (room === null) continue;
        placed.push({ candidate, room });
        if (left !== undefined) places.set(candidate.tenantId, left - 1);
      }
      await this.#claim(placed, unsettled);
      await this.#holdBack(unsettled, places);
      await this.#settle(unsettled, candidates);
    } catch (error) {
      await Promise.allSettled(
        [...unsettled.values()].map((ticket) =>
          this.#options.tickets.giveBack(ticket, { delayMs: notHereDelayMs }),
        ),
      );
      throw error;
    }
  }

  /** How many more jobs each tenant may have running, of those for which that is limited. */
  #placesOf(candidates: Candidate[]): Map<string, number> {
    const places = new Map<string, number>();
    for (const { tenantId, tenantRoom } of candidates) {
      if (tenantRoom === null) this.#limitedTenants.delete(tenantId);
      else {
        places.set(tenantId, tenantRoom);
        if (this.#limitedTenants.size >= limitedTenantsMax) this.#limitedTenants.clear();
        this.#limitedTenants.add(tenantId);
      }
    }
    return places;
  }

  /**
   * A tenant that has as many jobs running as it may loses all its tickets, so that nobody stands behind them; each end
   * of its jobs brings the next one's ticket.
   */
  async #holdBack(unsettled: Map<string, HeldTicket>, places: ReadonlyMap<string, number>): Promise<void> {
    const full = [...places].flatMap(([tenantId, left]) => (left === 0 ? tenantId : []));
    if (full.length === 0 || unsettled.size === 0) return;
    const { announcer, tickets } = this.#options;
    const heldBack = await announcer.holdBack(full);
    await tickets.remove(heldBack.filter((ticket) => !unsettled.has(ticketId(ticket))));
    for (const reference of heldBack) {
      const ticket = unsettled.get(ticketId(reference));
      if (ticket === undefined) continue;
      await tickets.finish(ticket, {
        kind: "dropped",
        reason: "its tenant has as many jobs running as it may",
      });
      unsettled.delete(ticketId(reference));
    }
  }

  /** One odd row must not keep the others from being placed. */
  async #roomOrNone(candidate: Candidate, rooms: Room[], elsewhere: EmptyElsewhere[]): Promise<Room | null> {
    try {
      return await this.#roomFor(candidate, rooms, elsewhere);
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      this.#options.log.error({ err: error, jobId: candidate.jobId }, "a job could not be placed");
      return null;
    }
  }

  async #roomFor(candidate: Candidate, rooms: Room[], elsewhere: EmptyElsewhere[]): Promise<Room | null> {
    const runnable = rooms.filter(
      ({ server }) => server.definitions !== null && this.#runnable.test(candidate, server.definitions),
    );
    const others = [];
    for (const other of elsewhere) {
      if (await this.#runnable.testByHash(candidate, other.definitionsHash)) others.push(other);
    }
    const checkpoint = checkpointOf(candidate);
    const best = placeJob({ checkpoint, avoidServerId: candidate.avoidServerId }, runnable, others);
    const room = rooms.find(({ id }) => id === best?.id);
    if (room === undefined) return null;
    room.jobsHeld += 1;
    room.checkpoint = checkpoint ?? room.checkpoint;
    return room;
  }

  /** Servers of other workers without a job. Only asked when a second slot could be filled. */
  async #emptyElsewhere(rooms: Room[]): Promise<EmptyElsewhere[]> {
    if (!this.#options.hasOtherWorkers() || rooms.every((room) => room.slots === 1)) return [];
    const servers = await this.#options.servers.listServers();
    return servers.flatMap((server) =>
      server.ownerId !== this.#options.workerId &&
      server.ownerId !== null &&
      server.isLeased &&
      takesWork(server.state) &&
      !server.draining &&
      server.jobsHeld === 0 &&
      server.definitionsHash !== null
        ? [{ id: server.id, definitionsHash: server.definitionsHash }]
        : [],
    );
  }

  async #claim(
    placed: { candidate: Candidate; room: Room }[],
    unsettled: Map<string, HeldTicket>,
  ): Promise<void> {
    if (placed.length === 0) return;
    const leasedSince = performance.now();
    const claims = placed.map(({ candidate, room }): Claim => ({
      jobId: candidate.jobId,
      attempt: candidate.attempt,
      isLimited: candidate.tenantRoom !== null,
      serverId: room.id,
      workerId: this.#options.workerId,
      clientId: room.clientId,
      promptId: randomUUID(),
    }));
    const leased = await this.#options.runs.claimJobs(claims, this.#options.leaseMs);
    for (const job of leased) {
      const room = placed.find(({ candidate }) => candidate.jobId === job.jobId)?.room;
      const ticket = unsettled.get(ticketId(job));
      if (room === undefined || ticket === undefined) continue;
      unsettled.delete(ticketId(job));
      this.#delays.delete(ticketId(job));
      room.server.checkpoint = room.checkpoint;
      this.#options.start(job, room.server, ticket, leasedSince);
    }
  }

  /** What was not started: run here already, not placeable now, run elsewhere, or of no use any more. */
  async #settle(unsettled: Map<string, HeldTicket>, candidates: Candidate[]): Promise<void> {
    const claimable = new Map(candidates.map((candidate) => [ticketId(candidate), candidate]));
    const results = await Promise.allSettled(
      [...unsettled].map(async ([id, ticket]) => {
        if (claimable.has(id)) {
          await this.#options.tickets.giveBack(ticket, { delayMs: this.#delayOf(id, claimable.get(id)) });
        } else if (!this.#options.keepTicket(ticket)) {
          await this.#settleUseless(ticket);
        }
        unsettled.delete(id);
      }),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /**
   * A ticket that none of our servers can run comes back later each time, so that it does not stand before those that
   * fit; one that only waits for a slot comes back soon.
   */
  #delayOf(id: string, candidate: Candidate | undefined): number {
    const servers = this.#options.readyServers();
    const fits = ({ definitions }: OwnedServer): boolean =>
      candidate !== undefined && definitions !== null && this.#runnable.test(candidate, definitions);
    if (servers.some(fits)) return notHereDelayMs;
    const delayMs = Math.min((this.#delays.get(id) ?? notHereDelayMs / 2) * 2, notHereDelayMaxMs);
    if (this.#delays.size >= delaysMax) this.#delays.clear();
    this.#delays.set(id, delayMs);
    return delayMs;
  }

  async #settleUseless(ticket: HeldTicket): Promise<void> {
    const { runs, tickets } = this.#options;
    const job = await runs.findJob(ticket.jobId);
    if (job !== null && job !== "removed") {
      const runsElsewhere = job.status === "processing" && job.attempt === ticket.attempt;
      const isNotDueYet = job.status === "queued" && job.attempt + 1 === ticket.attempt;
      if (runsElsewhere || isNotDueYet) {
        await tickets.giveBack(ticket, { delayMs: runsElsewhere ? elsewhereDelayMs : notHereDelayMs });
        return;
      }
    }
    await tickets.finish(ticket, { kind: "dropped", reason: "its job wanted no work any more" });
  }
}

function roomOf(server: OwnedServer): Room {
  return {
    id: server.id,
    slots: server.slots,
    jobsHeld: server.jobsHeld,
    checkpoint: server.checkpoint,
    server,
    clientId: server.connector.clientId,
  };
}

function checkpointOf(candidate: Candidate): string | null {
  return needsOf(parseWorkflow(candidate.workflow)).models[0]?.name ?? null;
}
