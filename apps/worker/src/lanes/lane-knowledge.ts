import {
  type LaneFacts,
  type LaneRuns,
  type LaneServing,
  type PictureLane,
  type ServerRecord,
  type ServerStore,
  StoreUnavailableError,
  takesWork,
  unmeasuredRunMs,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";

interface LaneClaim {
  seenServedAt: Date | null;
  claimedAt: Date;
  inVainAtMs: number | null;
}

const claimsMax = 1_000;
/** How long what was read of lanes and of other workers' servers counts as fresh. */
const freshMs = 1_000;
/** The time that a load takes, as long as none was measured anywhere. */
const unmeasuredLoadMs = 5_000;

export interface LaneKnowledgeOptions {
  workerId: string;
  serving: LaneServing;
  servers: Pick<ServerStore, "listServers">;
  /** `false` while this worker is the only one; then no other worker has servers. */
  hasOtherWorkers: () => boolean;
  log: Logger;
}

/** What the database knows of lanes and of other workers' servers, read once a second at most while tickets are taken. */
export class LaneKnowledge {
  readonly #options: LaneKnowledgeOptions;
  readonly #facts = new Map<string, LaneFacts & { readHereAtMs: number }>();
  readonly #resumedAtMs = new Map<string, number>();
  /** The last claim of each lane, and whether it turned out that no server of this worker can run its first jobs. */
  readonly #claims = new Map<string, LaneClaim>();
  #others: ServerRecord[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  #servingSinceMs = Date.now();
  /** Lanes from which this worker took jobs since the last note of it. */
  readonly #served = new Set<string>();
  #knownLoadMs = unmeasuredLoadMs;
  #knownRunMs = unmeasuredRunMs;

  constructor(options: LaneKnowledgeOptions) {
    this.#options = options;
  }

  /** Servers of other workers that take work. */
  get others(): readonly ServerRecord[] {
    return this.#others;
  }

  /** The farm was resumed: lanes count as waiting from now on. */
  noteResumed(): void {
    this.#servingSinceMs = Date.now();
  }

  /** Reads what is not fresh. @throws StoreUnavailableError */
  async refresh(names: readonly string[]): Promise<void> {
    const isFresh = performance.now() - this.#readAtMs < freshMs;
    if (isFresh && names.every((name) => this.#facts.has(name))) return;
    const { serving, servers, workerId, hasOtherWorkers } = this.#options;
    const [facts, records] = await Promise.all([
      serving.readLanes(names),
      hasOtherWorkers() ? servers.listServers() : [],
    ]);
    this.#readAtMs = performance.now();
    this.#others = records.filter(
      ({ ownerId, isLeased, state, draining }) =>
        ownerId !== null && ownerId !== workerId && isLeased && takesWork(state) && !draining,
    );
    for (const lane of facts) this.#store(lane);
    const wanted = new Set(names);
    for (const known of [this.#facts, this.#resumedAtMs])
      for (const name of known.keys()) if (!wanted.has(name)) known.delete(name);
    // A lane that was not measured yet is probably like most of the others.
    this.#knownLoadMs = medianOf(facts.flatMap(({ loadMs }) => loadMs ?? [])) ?? this.#knownLoadMs;
    this.#knownRunMs = medianOf(facts.flatMap(({ runMs }) => runMs ?? [])) ?? this.#knownRunMs;
  }

  laneNamed(name: string): PictureLane {
    const facts = this.#facts.get(name);
    return {
      model: facts?.mainModel ?? null,
      runMs: facts?.runMs ?? this.#knownRunMs,
      loadMs: facts?.loadMs ?? this.#knownLoadMs,
      // For this worker a lane that it went to in vain counts as served, so that it does not go there again at once.
      lastServedAtMs: Math.max(servedHereAt(facts), this.#claims.get(name)?.inVainAtMs ?? 0),
      servingSinceMs: Math.max(this.#servingSinceMs, this.#resumedAtMs.get(name) ?? 0),
      isPaused: facts !== undefined && facts.pausedAt !== null,
      clocks: facts?.clocks ?? {},
    };
  }

  /** What was measured of the lane's runs. */
  runsOf(name: string): LaneRuns {
    const { runMs = null, runs = 0 } = this.#facts.get(name) ?? {};
    return { runMs, runs };
  }

  /** Whether this server may leave its model for the lane: of several that want to, one may. @throws StoreUnavailableError */
  async claim(name: string): Promise<boolean> {
    const seenServedAt = this.#facts.get(name)?.lastServedAt ?? null;
    // Whoever wins, what is known of the lane is out of date now.
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    const claimedAt = await this.#options.serving.claimLane(name, seenServedAt);
    // Not forgotten with the facts: while the only ticket of a lane is given back for a while, nothing waits there.
    if (this.#claims.size >= claimsMax) this.#claims.clear();
    if (claimedAt !== null) this.#claims.set(name, { seenServedAt, claimedAt, inVainAtMs: null });
    return claimedAt !== null;
  }

  /**
   * No server of this worker can run the jobs that the lane, which was claimed, handed out. Servers of other workers may go
   * there at once, and this worker's when the lane is overdue anew. @throws StoreUnavailableError
   */
  async giveUp(name: string): Promise<void> {
    const claim = this.#claims.get(name);
    if (claim === undefined) return;
    claim.inVainAtMs = Date.now();
    this.#readAtMs = Number.NEGATIVE_INFINITY;
    await this.#options.serving.giveUpLane(name, claim.claimedAt, claim.seenServedAt);
  }

  /** This worker took a job of the lane. */
  noteServed(name: string): void {
    this.#served.add(name);
  }

  /**
   * Records which lanes this worker serves. Other workers see it when they look for overdue lanes.
   * @param running the lanes of the jobs that run here: a lane is also served while a long job of it runs
   */
  async flush(running: readonly string[]): Promise<void> {
    const names = new Set([...this.#served, ...running]);
    this.#served.clear();
    try {
      await this.#options.serving.noteServed([...names]);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#options.log.debug({ err: error }, "the lanes that are served could not be recorded");
    }
  }

  #store(lane: LaneFacts): void {
    const before = this.#facts.get(lane.name);
    const wasResumed = before !== undefined && before.pausedAt !== null && lane.pausedAt === null;
    if (wasResumed) this.#resumedAtMs.set(lane.name, Date.now());
    this.#facts.set(lane.name, { ...lane, readHereAtMs: Date.now() });
  }
}

function medianOf(values: readonly number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];
}

/** When the lane was last served, by this process's clock. */
function servedHereAt(facts: (LaneFacts & { readHereAtMs: number }) | undefined): number {
  if (facts === undefined || facts.lastServedAt === null) return 0;
  return facts.readHereAtMs - (facts.readAt.getTime() - facts.lastServedAt.getTime());
}
