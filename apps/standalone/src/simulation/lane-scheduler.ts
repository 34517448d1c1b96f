import {
  chooseLane,
  takeBacksFor,
  type LaneSettings,
  type LaneState,
  type SchedulingServer,
  type WaitingPrompt,
} from "@genga/jobs";
import { AgeingQueues } from "./ageing-queues.ts";
import { GroupTurns } from "./group-turns.ts";
import { LaneQueue } from "./lane-queue.ts";
import { type PromptBehind, type Scheduler, type TakenBackPrompt } from "./scheduler.ts";
import { TenantQueues } from "./tenant-queues.ts";
import { type Workload } from "./workload.ts";

export interface LaneSchedulerSettings extends LaneSettings {
  ageingMs: number;
  /** How long the jobs that are there at the beginning have waited. */
  backlogMs: number;
  takeBackMs: number;
}

/** As many of the prompts that wait are looked at, those that wait longest. */
const promptsMax = 500;

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
  readonly #onBand: (job: number, band: number, now: number) => void;
  readonly #lanes: LaneQueue[];
  readonly #laneNumbers: Map<string, number>;
  readonly #servers: Server[];
  /** How many servers have each model, by model and kind of server. */
  readonly #loaded = new Map<string, Int32Array>();
  /** How many servers are of a kind or a later one. */
  readonly #eligible: number[];
  /** How many servers of each kind stand empty. */
  readonly #empty: Int32Array;
  readonly #lanesOfModel = new Map<string, LaneQueue[]>();
  readonly #tenants: TenantQueues;
  readonly #ageing: AgeingQueues;
  readonly #turns: GroupTurns;
  /** Whether there is something to wait behind a server's running job, by the model that the server has; empty = not known. */
  readonly #hasWorkBehind = new Map<string | null, boolean>();
  waiting = 0;

  /** @param onBand told of each job and the band that it waits in, when it arrives and when it ages */
  constructor(
    work: Workload,
    settings: LaneSchedulerSettings,
    onBand: (job: number, band: number, now: number) => void = () => undefined,
  ) {
    this.#onBand = onBand;
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
    this.#empty = new Int32Array(kinds);
    for (const kind of work.kindOfServer) this.#empty[kind] = (this.#empty[kind] ?? 0) + 1;
    for (const queue of this.#lanes) {
      this.#lanesOfModel.set(queue.lane.model, [...(this.#lanesOfModel.get(queue.lane.model) ?? []), queue]);
    }
    this.#turns = new GroupTurns(this.#lanes);
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
    this.#hasWorkBehind.clear();
    this.#onBand(job, ownBand, now);
    this.#add(job, { tenant, lane, band: ownBand }, ownBand, since);
  }

  onTime(now: number): void {
    for (const { job, tenant, lane, band } of this.#ageing.due(now)) {
      const ownBand = this.#work.bandOfJob[job] ?? 0;
      const rank = this.#tenants.nextRank(tenant, lane, band - 1);
      this.#onBand(job, band - 1, now);
      this.#lanes[lane]?.move(job, { band: band - 1, ownBand, rank });
      this.#ageing.add(job, { tenant, lane, band: band - 1 }, ownBand, now);
    }
  }

  take(number: number, now: number): number {
    const server = this.#server(number);
    const lane = this.#choose(server, now);
    if (lane === null) return -1;
    this.#serve(server, lane, now);
    return this.#takeFirst(lane, now);
  }

  /** As the worker does: only for what the server has loaded, and only if no server that could run it stands empty. */
  takeBehind(number: number, now: number): number {
    const server = this.#server(number);
    if (!this.#mayTakeBehind(server.model)) return -1;
    const lane = this.#choose(server, now);
    const queue = lane === null ? undefined : this.#lanes[lane];
    if (lane === null || queue === undefined || this.#isOneEmptyFor(queue)) return -1;
    this.#serve(server, lane, now);
    return this.#takeFirst(lane, now);
  }

  #mayTakeBehind(model: string | null): boolean {
    const known = this.#hasWorkBehind.get(model);
    if (known !== undefined) return known;
    const loaded = this.#lanesOfModel.get(model ?? "") ?? [];
    const found = loaded.some((queue) => queue.waiting > 0 && !this.#isOneEmptyFor(queue));
    this.#hasWorkBehind.set(model, found);
    return found;
  }

  takeBack(empty: readonly number[][], prompts: readonly PromptBehind[], now: number): TakenBackPrompt[] {
    const left = new Map(prompts.map((prompt) => [nameOf(prompt.job), prompt]));
    const listed = prompts.map((prompt) => this.#waitingPrompt(prompt, now));
    listed.sort((one, other) => (other.aheadMs ?? Infinity) - (one.aheadMs ?? Infinity));
    let waiting = listed.slice(0, promptsMax);
    const taken: TakenBackPrompt[] = [];
    for (const alike of empty) {
      for (const number of alike) {
        const server = this.#server(number);
        const able = waiting.filter(({ lane }) => server.isEligible(lane));
        const asking = { id: String(number), loadedModel: server.model };
        const [best] = takeBacksFor(asking, able, this.#settings.takeBackMs);
        const prompt = best === undefined ? undefined : left.get(best.jobId);
        if (best === undefined || prompt === undefined) break;
        waiting = waiting.filter((other) => other !== best);
        this.#serve(server, this.#work.laneOfJob[prompt.job] ?? 0, now);
        taken.push({ job: prompt.job, from: prompt.server, to: number });
      }
    }
    return taken;
  }

  ended(number: number, job: number, now: number, isEmpty: boolean): void {
    const server = this.#server(number);
    const { laneOfJob, tenantOfJob, runMs } = this.#work;
    this.#lanes[laneOfJob[job] ?? -1]?.measure(tenantOfJob[job] ?? 0, runMs[job] ?? 0);
    if (!isEmpty) return;
    this.#hasWorkBehind.clear();
    server.idleSinceMs = now;
    this.#empty[server.kind] = (this.#empty[server.kind] ?? 0) + 1;
    const lane = this.#lanes[server.lane ?? -1];
    if (lane !== undefined) lane.servers -= 1;
  }

  groupOf(number: number): string {
    const { kind, lane } = this.#server(number);
    return `${lane ?? "none"} ${kind}`;
  }

  #choose(server: Server, now: number): number | null {
    const chosen = chooseLane(this.#facts(server), this.#laneStates(server), now, this.#settings);
    return chosen === null ? null : (this.#laneNumbers.get(chosen.lane) ?? null);
  }

  #takeFirst(lane: number, now: number): number {
    this.waiting -= 1;
    this.#hasWorkBehind.clear();
    return this.#lanes[lane]?.takeFirst(now) ?? -1;
  }

  /** Notes that the last job of the server is one of the lane. */
  #serve(server: Server, lane: number, now: number): void {
    const queue = this.#lanes[lane];
    if (queue === undefined) return;
    this.#hasWorkBehind.clear();
    const last = this.#lanes[server.lane ?? -1];
    if (server.idleSinceMs !== null) this.#empty[server.kind] = (this.#empty[server.kind] ?? 0) - 1;
    else if (last !== undefined) last.servers -= 1;
    queue.servers += 1;
    this.#count(server, -1);
    server.idleSinceMs = null;
    if (server.model !== queue.lane.model) server.modelSinceMs = now;
    server.lane = lane;
    server.model = queue.lane.model;
    this.#count(server, 1);
  }

  #isOneEmptyFor({ lane }: LaneQueue): boolean {
    return this.#empty.some((count, kind) => count > 0 && kind >= lane.lowestKind);
  }

  /** What the database lists of a prompt that waits. The job before it takes as long as its lane's usually do, or longer. */
  #waitingPrompt({ job, server, runningJob, runningSinceMs }: PromptBehind, now: number): WaitingPrompt {
    const { laneOfJob, bandOfJob, lanes, loadMs } = this.#work;
    const lane = lanes[laneOfJob[job] ?? 0];
    const before = this.#lanes[laneOfJob[runningJob] ?? 0]?.measuredRunMs ?? null;
    return {
      ...{ jobId: nameOf(job), attempt: 1, leaseNumber: 1, serverId: String(server), requires: [] },
      lane: lane?.name ?? "",
      band: bandOfJob[job] ?? 0,
      runMs: this.#lanes[laneOfJob[job] ?? 0]?.measuredRunMs ?? null,
      mainModel: lane?.model ?? null,
      loadMs,
      // One that has taken longer than usual probably goes on for as long as it has exceeded that.
      aheadMs: before === null ? null : Math.abs(before - Math.max(0, now - runningSinceMs)),
      triedServerIds: [String(server)],
    };
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
      mayLoad: idleSinceMs !== null,
      isEligible,
    };
  }

  #laneStates(server: Server): LaneState[] {
    const ahead = this.#turns.look();
    const states: LaneState[] = [];
    for (const [number, queue] of this.#lanes.entries()) {
      if (queue.waiting === 0 && queue.servers === 0) continue;
      const { model, lowestKind } = queue.lane;
      const isOne = server.kind >= lowestKind ? 1 : 0;
      const isReady = isOne === 1 && server.model === model ? 1 : 0;
      const others = (this.#eligible[lowestKind] ?? 0) - isOne;
      states.push(queue.state(others, this.#readyFor(queue) - isReady, ahead[number] ?? 0, isOne + isReady));
    }
    return states;
  }

  /** Servers that have the model of the lane and are eligible for it. */
  #readyFor({ lane }: LaneQueue): number {
    const byKind = this.#loaded.get(lane.model);
    let servers = 0;
    if (byKind === undefined) return servers;
    for (let kind = lane.lowestKind; kind < byKind.length; kind += 1) servers += byKind[kind] ?? 0;
    return servers;
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

/** In the order of the numbers. */
function nameOf(job: number): string {
  return String(job).padStart(8, "0");
}
