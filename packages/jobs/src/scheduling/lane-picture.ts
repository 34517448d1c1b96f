import { defaultLane } from "../job/lane.ts";
import { jobPriorities } from "../job/job.ts";
import { type LaneClocks } from "../ports/lane-serving.ts";
import { type LaneHead } from "../ports/ticket-queue.ts";
import { type LaneState, type SchedulingServer } from "./lane-state.ts";
import { type LaneFirst, type LaneTurns } from "./lane-turns.ts";
import { readTicketPriority, type TicketPosition } from "./ticket-rank.ts";

/** A server that takes work, as the choice of lanes sees it. Times are milliseconds by this process's clock. */
export interface PictureServer {
  id: string;
  lane: string | null;
  loadedModel: string | null;
  modelSinceMs: number | null;
  /** Equal for servers with the same definitions and labels, which may serve the same lanes. */
  capability: string;
}

/** What is known of a lane besides its tickets; `LaneKnowledge` has it. */
export interface PictureLane {
  model: string | null;
  runMs: number;
  loadMs: number;
  lastServedAtMs: number;
  /** The lane has been served, or could have been, since then: it was resumed, or the farm was. */
  servingSinceMs: number;
  isPaused: boolean;
  clocks: LaneClocks;
}

export interface LanePictureOptions {
  heads: readonly LaneHead[];
  servers: readonly PictureServer[];
  laneNamed: (name: string) => PictureLane;
  /** Whether servers of the capability may serve the lane. */
  mayServe: (capability: string, lane: string) => boolean;
  /** Kept from picture to picture. */
  turns: LaneTurns;
  nowMs: number;
}

interface PictureHead extends LaneHead {
  first: TicketPosition;
  aheadMs: number;
}

/**
 * All lanes and servers at one moment, as one worker sees them. While the worker plans, the picture follows: a server
 * that is to take a ticket counts as serving its lane.
 */
export class LanePicture {
  readonly #options: LanePictureOptions;
  readonly #heads: Map<string, PictureHead>;
  readonly #servers: Map<string, PictureServer>;
  /** The names of all lanes that have tickets or servers. */
  readonly #names: Set<string>;

  constructor(options: LanePictureOptions) {
    this.#options = options;
    this.#servers = new Map(options.servers.map((server) => [server.id, { ...server }]));
    this.#heads = this.#headsByLane();
    const served = options.servers.flatMap(({ lane }) => lane ?? []);
    this.#names = new Set([...this.#heads.keys(), ...served]);
  }

  /**
   * @param isFirst whether nothing stands before the next job on this server
   * @param idleSinceMs since when it has had no job; `null` = it has one
   */
  schedulingServer(id: string, isFirst: boolean, idleSinceMs: number | null = null): SchedulingServer {
    const { lane, loadedModel, modelSinceMs, capability } = this.#serverOf(id);
    return {
      ...{ lane, loadedModel, modelSinceMs, idleSinceMs, mayLoad: isFirst },
      isEligible: (name) => this.#options.mayServe(capability, name),
    };
  }

  /** The lanes as the server with this id sees them. */
  lanesFor(id: string): LaneState[] {
    const counts = this.#count(this.#serverOf(id));
    return [...this.#names].map((name) => this.#laneState(name, counts));
  }

  /** The server is to take a ticket of the lane. What comes after the last ticket of its band is not known. */
  noteTake(id: string, lane: string): void {
    const server = this.#serverOf(id);
    const { model } = this.#options.laneNamed(lane);
    const isKept =
      lane === defaultLane ? server.lane === lane : model === null || model === server.loadedModel;
    if (!isKept) server.modelSinceMs = this.#options.nowMs;
    server.lane = lane;
    server.loadedModel = model ?? server.loadedModel;
    const head = this.#heads.get(lane);
    if (head === undefined) return;
    head.waiting -= 1;
    head.waitingInBand -= 1;
    head.aheadMs += this.#options.laneNamed(lane).runMs;
    if (head.waitingInBand <= 0) head.waiting = 0;
  }

  #serverOf(id: string): PictureServer {
    const server = this.#servers.get(id);
    if (server === undefined) throw new Error(`Server ${id} is not in the picture.`);
    return server;
  }

  #headsByLane(): Map<string, PictureHead> {
    const { heads, turns } = this.#options;
    const capabilities = [...new Set([...this.#servers.values()].map(({ capability }) => capability))].sort();
    const positions = new Map(
      heads.map(({ lane, headPriority }) => [lane, readTicketPriority(headPriority)]),
    );
    const served = [...positions].filter(([lane]) => !this.#options.laneNamed(lane).isPaused);
    const ahead = turns.look(served.map(([lane, first]) => this.#laneFirst(lane, first, capabilities)));
    const entries = heads.flatMap((head): [string, PictureHead][] => {
      const first = positions.get(head.lane);
      return first === undefined ? [] : [[head.lane, { ...head, first, aheadMs: ahead.get(head.lane) ?? 0 }]];
    });
    return new Map(entries);
  }

  #laneFirst(lane: string, { band, rank }: TicketPosition, capabilities: readonly string[]): LaneFirst {
    const { model, clocks } = this.#options.laneNamed(lane);
    const { claimedRank = 0, base = 0, unitMs = null } = clocks[jobPriorities[band] ?? "normal"] ?? {};
    const able = capabilities.filter((capability) => this.#options.mayServe(capability, lane));
    return {
      lane,
      group: JSON.stringify([model, lane === defaultLane, able]),
      band,
      // Tickets whose rank was counted from an older base seem to stand before the clock.
      rank: Math.max(base + rank, claimedRank),
      clock: claimedRank,
      unitMs,
    };
  }

  /** Counts all servers but this one. */
  #count(self: PictureServer): Counts {
    const counts: Counts = { byCapability: new Map(), byLane: new Map(), byModel: new Map() };
    for (const server of this.#servers.values()) {
      if (server === self) continue;
      const { capability, lane, loadedModel } = server;
      increment(counts.byCapability, capability);
      if (lane !== null) increment(counts.byLane, lane);
      if (loadedModel === null) continue;
      const ofModel = counts.byModel.get(loadedModel) ?? new Map<string, number>();
      increment(ofModel, capability);
      counts.byModel.set(loadedModel, ofModel);
    }
    return counts;
  }

  #laneState(name: string, counts: Counts): LaneState {
    const { model, runMs, loadMs, lastServedAtMs, servingSinceMs, isPaused } = this.#options.laneNamed(name);
    const head = this.#heads.get(name);
    const able = (byCapability: ReadonlyMap<string, number> | undefined): number =>
      [...(byCapability ?? [])].reduce(
        (sum, [capability, count]) => sum + (this.#options.mayServe(capability, name) ? count : 0),
        0,
      );
    return {
      ...{ name, model, runMs, loadMs, isPaused, lastServedAtMs },
      alwaysLoads: name === defaultLane,
      waiting: head?.waiting ?? 0,
      waitingInBand: head?.waitingInBand ?? 0,
      head: head === undefined ? null : { ...head.first, aheadMs: head.aheadMs },
      waitingSinceMs: Math.max(head?.waitingSince.getTime() ?? 0, servingSinceMs),
      servers: counts.byLane.get(name) ?? 0,
      eligible: able(counts.byCapability),
      ready: model === null ? 0 : able(counts.byModel.get(model)),
    };
  }
}

interface Counts {
  byCapability: Map<string, number>;
  byLane: Map<string, number>;
  byModel: Map<string, Map<string, number>>;
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
