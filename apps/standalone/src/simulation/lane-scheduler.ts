import { chooseLane, LaneTurns, type LaneSettings, type LaneState, type SchedulingServer } from "@genga/jobs";
import { AgeingQueues } from "./ageing-queues.ts";
import { LaneQueue } from "./lane-queue.ts";
import { type Scheduler } from "./scheduler.ts";
import { TenantQueues } from "./tenant-queues.ts";
import { type Workload } from "./workload.ts";

export interface LaneSchedulerSettings extends LaneSettings {
  ageingMs: number;
  /** How long the jobs that are there at the beginning have waited. */
  backlogMs: number;
}

interface Server {
  kind: number;
  lane: number | null;
  model: string | null;
  modelSinceMs: number | null;
  idleSinceMs: number | null;
  isEligible: (lane: string) => boolean;
}

/** Genga's scheduling: every decision is made by the functions that the product uses. */
export class LaneScheduler implements Scheduler {
  readonly name = "lanes";
  readonly #work: Workload;
  readonly #settings: LaneSchedulerSettings;
  readonly #lanes: LaneQueue[];
  readonly #laneNumbers: Map<string, number>;
  readonly #servers: Server[];
  /** How many servers have each model, by model and kind of server. */
  readonly #loaded = new Map<string, Int32Array>();
  /** How many servers are of a kind or a later one. */
  readonly #eligible: number[];
  readonly #tenants: TenantQueues;
  readonly #ageing: AgeingQueues;
  readonly #turns = new LaneTurns();
  waiting = 0;

  constructor(work: Workload, settings: LaneSchedulerSettings) {
    this.#work = work;
    this.#settings = settings;
    this.#lanes = work.lanes.map((lane) => new LaneQueue(lane, work.loadMs, -settings.backlogMs));
    this.#laneNumbers = new Map(work.lanes.map(({ name }, number) => [name, number]));
    const kinds = Math.max(...work.kindOfServer) + 1;
    for (const { model } of work.lanes) this.#loaded.set(model, new Int32Array(kinds));
    const eligibleByKind = Array.from({ length: kinds }, (_, kind) => {
      return new Set(work.lanes.filter(({ lowestKind }) => lowestKind <= kind).map(({ name }) => name));
    });
    this.#servers = Array.from(work.kindOfServer, (kind): Server => {
      const eligible = eligibleByKind[kind] ?? new Set();
      return {
        kind,
        lane: null,
        model: null,
        modelSinceMs: null,
        idleSinceMs: 0,
        isEligible: (lane) => eligible.has(lane),
      };
    });
    this.#eligible = Array.from({ length: kinds }, (_, kind) => {
      return work.kindOfServer.reduce((sum, own) => sum + (own >= kind ? 1 : 0), 0);
    });
    this.#tenants = new TenantQueues(this.#lanes, work.weights);
    this.#ageing = new AgeingQueues(work.lanes.length, settings.ageingMs, (job, lane, band) => {
      return this.#lanes[lane]?.find(job)?.band === band;
    });
  }

  get nextTimeMs(): number {
    return this.#ageing.nextTimeMs;
  }

  arrive(job: number, now: number): void {
    const [lane, tenant] = [this.#work.laneOfJob[job] ?? 0, this.#work.tenantOfJob[job] ?? 0];
    const ownBand = this.#work.bandOfJob[job] ?? 0;
    const since = now === 0 ? -this.#settings.backlogMs : now;
    this.waiting += 1;
    this.#add(job, { tenant, lane, band: ownBand }, ownBand, since);
  }

  onTime(now: number): void {
    for (const { job, tenant, lane, band } of this.#ageing.due(now)) {
      const ownBand = this.#work.bandOfJob[job] ?? 0;
      const rank = this.#tenants.nextRank(tenant, lane, band - 1);
      this.#lanes[lane]?.move(job, { band: band - 1, ownBand, rank });
      this.#ageing.add(job, { tenant, lane, band: band - 1 }, ownBand, now);
    }
  }

  take(number: number, now: number): number {
    const server = this.#server(number);
    const chosen = chooseLane(this.#facts(server), this.#laneStates(server), now, this.#settings);
    const lane = chosen === null ? undefined : this.#laneNumbers.get(chosen.lane);
    const queue = lane === undefined ? undefined : this.#lanes[lane];
    if (lane === undefined || queue === undefined) return -1;
    const job = queue.takeFirst(now);
    this.waiting -= 1;
    queue.servers += 1;
    this.#count(server, -1);
    server.idleSinceMs = null;
    if (server.model !== queue.lane.model) server.modelSinceMs = now;
    server.lane = lane;
    server.model = queue.lane.model;
    this.#count(server, 1);
    return job;
  }

  ended(number: number, job: number, now: number): void {
    const server = this.#server(number);
    server.idleSinceMs = now;
    const lane = this.#lanes[server.lane ?? -1];
    if (lane === undefined) return;
    lane.servers -= 1;
    lane.measure(this.#work.runMs[job] ?? 0);
  }

  groupOf(number: number): string {
    const { kind, lane } = this.#server(number);
    return `${lane ?? "none"} ${kind}`;
  }

  #add(
    job: number,
    at: { tenant: number; lane: number; band: number },
    ownBand: number,
    since: number,
  ): void {
    const rank = this.#tenants.nextRank(at.tenant, at.lane, at.band);
    this.#lanes[at.lane]?.add(job, { band: at.band, ownBand, rank }, since);
    this.#ageing.add(job, at, ownBand, since);
  }

  #facts({ model, lane, modelSinceMs, idleSinceMs, isEligible }: Server): SchedulingServer {
    return {
      loadedModel: model,
      lane: lane === null ? null : (this.#lanes[lane]?.lane.name ?? null),
      modelSinceMs,
      idleSinceMs,
      mayLoad: true,
      isEligible,
    };
  }

  #laneStates(server: Server): LaneState[] {
    const ahead = this.#turns.look(this.#lanes.flatMap((queue) => queue.first() ?? []));
    return this.#lanes
      .filter(({ waiting, servers }) => waiting > 0 || servers > 0)
      .map((queue) => {
        const { model, lowestKind } = queue.lane;
        const isOne = server.kind >= lowestKind;
        const eligible = this.#eligible[lowestKind] ?? 0;
        const ready = this.#readyFor(queue);
        const [others, othersReady] = [
          eligible - (isOne ? 1 : 0),
          ready - (isOne && server.model === model ? 1 : 0),
        ];
        return queue.state(others, othersReady, ahead.get(queue.lane.name) ?? 0);
      });
  }

  /** Servers that have the model of the lane and are eligible for it. */
  #readyFor({ lane }: LaneQueue): number {
    const byKind = this.#loaded.get(lane.model);
    return byKind?.reduce((sum, count, kind) => sum + (kind >= lane.lowestKind ? count : 0), 0) ?? 0;
  }

  #count(server: Server, change: number): void {
    const byKind = server.model === null ? undefined : this.#loaded.get(server.model);
    if (byKind !== undefined) byKind[server.kind] = (byKind[server.kind] ?? 0) + change;
  }

  #server(number: number): Server {
    const server = this.#servers[number];
    if (server === undefined) throw new Error(`There is no server ${number}.`);
    return server;
  }
}
