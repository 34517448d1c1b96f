import { randomUUID } from "node:crypto";
import {
  type Claim,
  type HeldTicket,
  type JobAnnouncer,
  type JobRuns,
  type LeasedJob,
  type ServerStore,
  StoreUnavailableError,
  type TakeBacks,
  type TakenBack,
  ticketId,
  type TicketQueue,
  TicketsUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { type LaneKnowledge } from "../lanes/lane-knowledge.ts";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type TakeBackAsker } from "../taking-back/take-back-asker.ts";
import { TakenBackJobs } from "../taking-back/taken-back-jobs.ts";
import { Coalescer } from "../timing/coalescer.ts";
import { type EmptyElsewhere, freeServersOf, type RunsOf } from "./free-servers.ts";
import { JobPlacer, type Placed, type ServersByLane, type Where } from "./job-placer.ts";
import { LimitedTenants } from "./limited-tenants.ts";
import { RunnableCache } from "./runnable-cache.ts";
import { type PlannedTake, type SlotPlanner } from "./slot-plan.ts";
import { takeTickets } from "./take-tickets.ts";
import { notHereDelayMs } from "./ticket-delays.ts";
import { type OpenTickets, UnstartedTickets } from "./unstarted-tickets.ts";

export interface TicketPumpOptions {
  workerId: string;
  runs: Pick<JobRuns, "findJob" | "readCandidates" | "claimJobs">;
  announcer: Pick<JobAnnouncer, "holdBack">;
  servers: ServerStore;
  definitions: DefinitionsStore;
  tickets: TicketQueue;
  planner: SlotPlanner;
  knowledge: LaneKnowledge;
  /** Asks for prompts that wait on other servers. */
  asker: TakeBackAsker;
  takeBacks: Pick<TakeBacks, "claim">;
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
  start: (leased: LeasedJob, server: OwnedServer, ticket: HeldTicket | null, leasedSince: number) => void;
}

/** The most rounds in one pass; the rest waits for the next trigger, a second at most. */
const roundsMax = 100;

/**
 * Fills free slots: takes tickets, places each job on a server that can run its graph, claims all rows in one statement
 * and starts the jobs. Runs when a ticket arrives, a slot is freed, or a server becomes available; one pass at a time.
 */
export class TicketPump {
  readonly #options: TicketPumpOptions;
  readonly #passes = new Coalescer(() => this.#pass());
  readonly #canRun: RunnableCache;
  readonly #unstarted: UnstartedTickets;
  readonly #limitedTenants = new LimitedTenants();
  readonly #runsOf: RunsOf = (lane) => this.#options.knowledge.runsOf(lane);
  readonly #takenBack: TakenBackJobs;
  readonly #placer: JobPlacer;
  #isStopped = false;

  constructor(options: TicketPumpOptions) {
    this.#options = options;
    this.#canRun = new RunnableCache(options.definitions);
    this.#unstarted = new UnstartedTickets({ ...options, canRun: this.#canRun });
    this.#takenBack = new TakenBackJobs(options);
    this.#placer = new JobPlacer({ ...options, canRun: this.#canRun, runsOf: this.#runsOf });
  }

  /** A server became available or its definitions changed, so jobs that no server could run may now be possible. */
  triggerAnew(): void {
    this.#unstarted.forgetAll();
    this.trigger();
  }

  /** Whether other jobs of this tenant may wait for the end of one of its jobs. */
  isLimited(tenantId: string): boolean {
    return this.#limitedTenants.has(tenantId);
  }

  /** A prompt was taken back, perhaps for a server of this worker. */
  claimTakenBack(job: TakenBack): void {
    if (!this.#options.readyServers().some(({ id }) => id === job.serverId)) return;
    this.#takenBack.add(job);
    this.trigger();
  }

  /** There may be work for a free slot. */
  trigger(): void {
    if (!this.#isStopped) void this.#passes.trigger();
  }

  /** Resolves when no job can be claimed any more for a server that took jobs before this call, and does not now. */
  async claimsEnded(): Promise<void> {
    if (this.#isStopped) await this.#passes.whenIdle();
    else await this.#passes.trigger();
  }

  /** No pass runs or begins after this. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#passes.whenIdle();
  }

  async #pass(): Promise<void> {
    try {
      await this.#startTakenBack();
      for (let round = 0; round < roundsMax && !this.#isStopped; round += 1) {
        const begunAt = performance.now();
        if (await this.#fill()) continue;
        for (const server of this.#options.readyServers()) server.noteNothingWaited(begunAt);
        break;
      }
      if (!this.#isStopped && !this.#options.isPaused())
        await this.#options.asker.ask(this.#options.readyServers());
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) && !(error instanceof TicketsUnavailableError)) {
        this.#options.log.error({ err: error }, "a pass over the tickets failed");
        return;
      }
      this.#options.log.debug({ err: error }, "no tickets can be taken now");
    }
  }

  /** Jobs that were queued for empty servers of this worker alone come before tickets. */
  async #startTakenBack(): Promise<void> {
    const { isPaused, readyServers, knowledge, asker, start } = this.#options;
    if (isPaused()) return;
    for (const { leased, server, model, leasedSince } of await this.#takenBack.claim(readyServers())) {
      knowledge.noteServed(leased.job.lane);
      server.noteJob(leased.job.lane, model);
      asker.noteClaimed(leased.jobId);
      start(leased, server, null, leasedSince);
    }
  }

  /** One round; `true` = there may be more to do. */
  async #fill(): Promise<boolean> {
    if (this.#options.isPaused()) return false;
    const ready = this.#options.readyServers();
    const freeServers = freeServersOf(ready, this.#runsOf);
    if (freeServers.length === 0) return false;
    const lanes = await this.#options.tickets.lanes();
    if (lanes.length === 0) return false;
    let asked: Promise<EmptyElsewhere[]> | undefined;
    const elsewhere = (): Promise<EmptyElsewhere[]> => (asked ??= this.#placer.emptyElsewhere(freeServers));
    const plan = await this.#options.planner.plan(freeServers, ready, lanes, elsewhere);
    if (plan.length === 0) return false;
    const { tickets, servers } = await this.#take(plan);
    if (tickets.length > 0) {
      const inVain = await this.#useTickets(tickets, { servers, freeServers, elsewhere });
      const overdue = new Set(plan.flatMap(({ lane, reason }) => (reason === "overdue" ? lane : [])));
      for (const lane of inVain) if (overdue.has(lane)) await this.#options.knowledge.giveUp(lane);
    }
    // Another round also follows when no job could be placed or another process was faster: the next tickets may be
    // usable, and the next answer about lanes knows what was taken.
    return true;
  }

  /** Takes from all lanes at the same time. */
  async #take(plan: readonly PlannedTake[]): Promise<{ tickets: HeldTicket[]; servers: ServersByLane }> {
    const agreed = await Promise.all(
      plan.map(async (take) => take.reason !== "overdue" || (await this.#options.knowledge.claim(take.lane))),
    );
    const byLane = new Map<string, PlannedTake[]>();
    for (const [index, take] of plan.entries()) {
      if (agreed[index] === true) byLane.set(take.lane, [...(byLane.get(take.lane) ?? []), take]);
    }
    const results = await Promise.allSettled(
      [...byLane].map(([lane, takes]) => takeTickets(lane, takes, this.#options)),
    );
    const tickets = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const failed = results.find((result) => result.status === "rejected");
    // Tickets that were taken are used even if Redis went away right afterwards.
    if (failed !== undefined && tickets.length === 0) throw failed.reason;
    const servers = new Map(
      [...byLane].map(([lane, takes]) => [lane, takes.map(({ freeServer }) => freeServer)]),
    );
    return { tickets, servers };
  }

  /**
   * Every ticket ends in exactly one way: started, kept, finished, or given back.
   * @returns the lanes of whose jobs none could be placed here, although their tenants may have more jobs
   */
  async #useTickets(tickets: HeldTicket[], where: Where): Promise<Set<string>> {
    const open: OpenTickets = new Map(tickets.map((ticket) => [ticketId(ticket), ticket]));
    try {
      const candidates = await this.#options.runs.readCandidates(tickets);
      const places = this.#limitedTenants.placesOf(candidates);
      const placeable = candidates.filter(({ tenantId }) => places.get(tenantId) !== 0);
      const inVain = new Set(placeable.map(({ lane }) => lane));
      const placed = await this.#placer.place(candidates, where, places);
      for (const { candidate } of placed) inVain.delete(candidate.lane);
      await this.#claim(placed, open);
      await this.#unstarted.holdBack(open, places);
      await this.#unstarted.giveBack(open, candidates);
      return inVain;
    } catch (error) {
      await Promise.allSettled(
        [...open.values()].map((ticket) =>
          this.#options.tickets.giveBack(ticket, { delayMs: notHereDelayMs }),
        ),
      );
      throw error;
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
      this.#unstarted.forget(id);
      this.#options.knowledge.noteServed(ticket.lane);
      const { server } = slot.freeServer;
      server.noteJob(ticket.lane, slot.checkpoint);
      this.#options.start(job, server, ticket, leasedSince);
    }
  }
}
