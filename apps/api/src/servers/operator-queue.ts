import {
  chooseLane,
  defaultLaneSettings,
  type JobReader,
  type JobPriority,
  type Lane,
  type LaneChoice,
  type LaneFacts,
  type LaneHead,
  LanePicture,
  type LaneServing,
  type LaneStore,
  LaneTurns,
  type PictureLane,
  publicNameOf,
  type TicketQueue,
  TicketsUnavailableError,
  takesWork,
  unmeasuredRunMs,
  type WaitingTenant,
} from "@genga/jobs";
import { type KnownServer, meets } from "@genga/workflows";
import { type KnownServers } from "./known-servers.ts";

/** At most so many lanes and tenants are shown: those with the most waiting. */
const shownMax = 100;
/** The workers' value as long as no load was measured. */
const unmeasuredLoadMs = 5_000;

export interface OperatorQueueOptions {
  jobs: Pick<JobReader, "listWaitingTenants">;
  servers: KnownServers;
  lanes: Pick<LaneStore, "findLanes">;
  serving: Pick<LaneServing, "readLanes">;
  tickets: Pick<TicketQueue, "lanes" | "countBands">;
  patienceMs: number;
}

/** A lane with tickets, as operators see it. */
export interface WaitingLane {
  lane: string;
  model: string | null;
  waiting: number;
  bands: Record<JobPriority, number>;
  waitingSince: Date;
  lastServedAt: Date | null;
  runMs: number | null;
  loadMs: number | null;
  pausedSince: Date | null;
}

/** What a server has loaded, and from which lane it would take its next job now. */
export interface ServerOutlook {
  id: string;
  name: string;
  lane: string | null;
  loadedModel: string | null;
  modelSince: Date | null;
  jobsHeld: number;
  next: { lane: string; reason: string; loads: boolean } | null;
}

export interface QueueOutlook {
  /** `null` while Redis is away. */
  lanes: WaitingLane[] | null;
  lanesCount: number;
  tenants: WaitingTenant[];
  servers: ServerOutlook[];
}

/**
 * What operators see of the queue. Its cost depends on how many lanes, servers and tenants there are, and not on how many
 * jobs wait: Redis knows how many tickets each lane has, and counting of a tenant's jobs stops at 1,000.
 */
export class OperatorQueue {
  readonly #options: OperatorQueueOptions;
  readonly #turns = new LaneTurns();

  constructor(options: OperatorQueueOptions) {
    this.#options = options;
  }

  async look(): Promise<QueueOutlook> {
    const { jobs, serving } = this.#options;
    const [tenants, heads] = await Promise.all([jobs.listWaitingTenants(shownMax), this.#heads()]);
    const most = (heads ?? []).toSorted((one, other) => other.waiting - one.waiting);
    const facts = new Map(
      (await serving.readLanes(most.map(({ lane }) => lane))).map((lane) => [lane.name, lane]),
    );
    return {
      lanes: heads === null ? null : await this.#waitingLanes(most.slice(0, shownMax), facts),
      lanesCount: most.length,
      tenants,
      servers: await this.#outlooks(most, facts),
    };
  }

  async #heads(): Promise<LaneHead[] | null> {
    try {
      return await this.#options.tickets.lanes();
    } catch (error) {
      if (error instanceof TicketsUnavailableError) return null;
      throw error;
    }
  }

  async #waitingLanes(
    heads: readonly LaneHead[],
    facts: ReadonlyMap<string, LaneFacts>,
  ): Promise<WaitingLane[]> {
    const bands = await this.#options.tickets.countBands(heads.map(({ lane }) => lane));
    return heads.map(({ lane, waiting, waitingSince }, index) => {
      const known = facts.get(lane);
      const [urgent = 0, high = 0, normal = 0, low = 0] = bands[index] ?? [];
      return {
        ...{ lane, waiting, waitingSince, bands: { urgent, high, normal, low } },
        model: known?.mainModel ?? null,
        lastServedAt: known?.lastServedAt ?? null,
        runMs: known?.runMs ?? null,
        loadMs: known?.loadMs ?? null,
        pausedSince: known?.pausedAt ?? null,
      };
    });
  }

  /** The workers decide by the same function and nearly the same facts, but each at its own moment. */
  async #outlooks(
    heads: readonly LaneHead[],
    facts: ReadonlyMap<string, LaneFacts>,
  ): Promise<ServerOutlook[]> {
    const { servers, lanes, patienceMs } = this.#options;
    const [farm, known] = await Promise.all([servers.farm(), servers.list()]);
    const needs = new Map(
      (await lanes.findLanes(heads.map(({ lane }) => lane))).map((lane) => [lane.name, lane.needs]),
    );
    const kinds = new Map(known.map((server) => [server.id, kindOf(server)]));
    const examples = new Map(known.map((server) => [kindOf(server), server]));
    const working = farm.servers.filter(
      ({ id, state, draining }) => kinds.has(id) && takesWork(state) && !draining,
    );
    const nowMs = Date.now();
    const picture = new LanePicture({
      ...{ heads, nowMs, turns: this.#turns },
      servers: working.map(({ id, lane, loadedModel, modelSince }) => ({
        ...{ id, lane, loadedModel, modelSinceMs: modelSince?.getTime() ?? null },
        capability: kinds.get(id) ?? "",
      })),
      laneNamed: (name) => pictureOf(facts.get(name), nowMs),
      mayServe: memoize((kind, lane) => mayServe(examples.get(kind), needs.get(lane))),
    });
    const settings = { ...defaultLaneSettings, patienceMs };
    const isWorking = new Set(working.map(({ id }) => id));
    return farm.servers.map(({ id, lane, loadedModel, modelSince, jobsHeld }) => ({
      ...{ id, name: publicNameOf({ id }), lane, loadedModel, modelSince, jobsHeld },
      next:
        isWorking.has(id) && farm.pause === null
          ? shownChoice(chooseLane(picture.schedulingServer(id, true), picture.lanesFor(id), nowMs, settings))
          : null,
    }));
  }
}

function shownChoice(choice: LaneChoice | null): ServerOutlook["next"] {
  return choice && { lane: choice.lane, reason: choice.reason, loads: choice.loads };
}

function pictureOf(facts: LaneFacts | undefined, nowMs: number): PictureLane {
  const { lastServedAt = null, readAt } = facts ?? {};
  const isServed = lastServedAt !== null && readAt !== undefined;
  return {
    model: facts?.mainModel ?? null,
    runMs: facts?.runMs ?? unmeasuredRunMs,
    loadMs: facts?.loadMs ?? unmeasuredLoadMs,
    lastServedAtMs: isServed ? nowMs - (readAt.getTime() - lastServedAt.getTime()) : 0,
    servingSinceMs: 0,
    isPaused: facts !== undefined && facts.pausedAt !== null,
    clocks: facts?.clocks ?? {},
  };
}

/** Equal for servers that may serve the same lanes. */
function kindOf({ definitionsHash, labels = [] }: KnownServer): string {
  return JSON.stringify([definitionsHash, labels]);
}

/** A lane whose needs are not known has jobs of many kinds, each of which is judged by itself. */
function mayServe(server: KnownServer | undefined, needs: Lane["needs"] | undefined): boolean {
  if (server === undefined) return false;
  const { objectInfo, replacements = {}, labels = [] } = server;
  return needs === undefined || meets(needs, { definitions: { objectInfo, replacements }, labels });
}

/** Asks once for each pair. */
function memoize(ask: (kind: string, lane: string) => boolean): (kind: string, lane: string) => boolean {
  const answers = new Map<string, boolean>();
  return (kind, lane) => {
    const key = `${lane} ${kind}`;
    const answer = answers.get(key) ?? ask(kind, lane);
    answers.set(key, answer);
    return answer;
  };
}
