import { needsOf } from "@genga/comfyui";
import { randomUUID } from "node:crypto";
import {
  type Candidate,
  type Claim,
  type HeldTicket,
  type JobStore,
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
import { Coalescer } from "./coalescer.ts";
import { type OwnedServer } from "./owned-server.ts";
import { placeJob, type PlaceableServer } from "./placement.ts";
import { RunnableCache } from "./runnable-cache.ts";

export interface TicketPumpOptions {
  workerId: string;
  store: JobStore;
  servers: ServerStore;
  tickets: TicketQueue;
  leaseMs: number;
  log: Logger;
  /** `false` while this worker is the only one, as far as it knows: then no server stands empty elsewhere. */
  hasOtherWorkers: () => boolean;
  /** Servers that may take jobs now. */
  readyServers: () => OwnedServer[];
  /** `true` when this worker runs the job already and keeps the ticket. */
  keepTicket: (ticket: HeldTicket) => boolean;
  start: (leased: LeasedJob, server: OwnedServer, ticket: HeldTicket, leasedSince: number) => void;
}

/** A ticket that nobody here can use now comes back after this long. */
const notHereDelayMs = 1_000;
/** A ticket of a job that another worker runs. */
const elsewhereDelayMs = 5_000;

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
  #isStopped = false;

  constructor(options: TicketPumpOptions) {
    this.#options = options;
    this.#runnable = new RunnableCache(options.servers);
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
      while (!this.#isStopped && (await this.#fill()));
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
    const rooms = this.#options
      .readyServers()
      .filter((server) => server.jobsHeld < server.slots)
      .map(roomOf);
    const count = rooms.reduce((sum, room) => sum + room.slots - room.jobsHeld, 0);
    if (count === 0) return false;
    const tickets = await this.#options.tickets.take(defaultLane, count);
    if (tickets.length === 0) return false;
    const started = await this.#place(tickets, rooms);
    return tickets.length === count && started > 0;
  }

  /** Every ticket ends in exactly one way: started, kept, finished, or given back. */
  async #place(tickets: HeldTicket[], rooms: Room[]): Promise<number> {
    const unsettled = new Map(tickets.map((ticket) => [ticketId(ticket), ticket]));
    try {
      const candidates = await this.#options.store.readCandidates(tickets);
      const elsewhere = await this.#emptyElsewhere(rooms);
      const placed: { candidate: Candidate; room: Room }[] = [];
      for (const candidate of candidates) {
        const room = await this.#roomFor(candidate, rooms, elsewhere);
        if (room !== null) placed.push({ candidate, room });
      }
      const started = await this.#claim(placed, unsettled);
      await this.#settle(unsettled, candidates);
      return started;
    } catch (error) {
      await Promise.allSettled(
        [...unsettled.values()].map((ticket) =>
          this.#options.tickets.giveBack(ticket, { delayMs: notHereDelayMs }),
        ),
      );
      throw error;
    }
  }

  async #roomFor(
    candidate: Candidate,
    rooms: Room[],
    elsewhere: { id: string; definitionsHash: string }[],
  ): Promise<Room | null> {
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
  async #emptyElsewhere(rooms: Room[]): Promise<{ id: string; definitionsHash: string }[]> {
    if (!this.#options.hasOtherWorkers() || rooms.every((room) => room.slots === 1)) return [];
    const servers = await this.#options.servers.listServers();
    const now = Date.now();
    return servers.flatMap((server) =>
      server.ownerId !== this.#options.workerId &&
      server.ownerId !== null &&
      server.leaseExpiresAt !== null &&
      server.leaseExpiresAt.getTime() > now &&
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
  ): Promise<number> {
    if (placed.length === 0) return 0;
    const leasedSince = performance.now();
    const claims = placed.map(({ candidate, room }): Claim => ({
      jobId: candidate.jobId,
      attempt: candidate.attempt,
      serverId: room.id,
      workerId: this.#options.workerId,
      clientId: room.clientId,
      promptId: randomUUID(),
    }));
    const leased = await this.#options.store.claimJobs(claims, this.#options.leaseMs);
    for (const job of leased) {
      const room = placed.find(({ candidate }) => candidate.jobId === job.jobId)?.room;
      const ticket = unsettled.get(ticketId(job));
      if (room === undefined || ticket === undefined) continue;
      unsettled.delete(ticketId(job));
      room.server.checkpoint = room.checkpoint;
      this.#options.start(job, room.server, ticket, leasedSince);
    }
    return leased.length;
  }

  /** What was not started: run here already, not placeable now, run elsewhere, or of no use any more. */
  async #settle(unsettled: Map<string, HeldTicket>, candidates: Candidate[]): Promise<void> {
    const claimable = new Set(candidates.map(ticketId));
    await Promise.all(
      [...unsettled].map(async ([id, ticket]) => {
        unsettled.delete(id);
        if (claimable.has(id)) {
          await this.#options.tickets.giveBack(ticket, { delayMs: notHereDelayMs });
        } else if (!this.#options.keepTicket(ticket)) {
          await this.#settleUseless(ticket);
        }
      }),
    );
  }

  async #settleUseless(ticket: HeldTicket): Promise<void> {
    const { store, tickets } = this.#options;
    const job = await store.findJob(ticket.jobId);
    if (job !== null && job !== "removed") {
      const runsElsewhere = job.status === "processing" && job.attempt === ticket.attempt;
      const isNotDueYet = job.status === "queued" && job.attempt + 1 === ticket.attempt;
      if (runsElsewhere || isNotDueYet) {
        await tickets.giveBack(ticket, { delayMs: runsElsewhere ? elsewhereDelayMs : notHereDelayMs });
        return;
      }
    }
    await tickets.finish(ticket, { kind: "completed", note: "its job wanted no work any more" });
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
  return needsOf(candidate.workflow).models[0]?.name ?? null;
}
