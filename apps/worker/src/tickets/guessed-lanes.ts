import { parseWorkflow, serverNeedsOf } from "@genga/comfyui";
import {
  laneOf,
  type GuessedJob,
  type GuessedLanes,
  type Lane,
  StoreUnavailableError,
  type ServerStore,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { RunnableCache } from "./runnable-cache.ts";

export interface GuessedLaneJudgeOptions {
  lanes: GuessedLanes;
  servers: Pick<ServerStore, "listServers">;
  definitions: Pick<DefinitionsStore, "find">;
  tickets: Pick<TicketQueue, "remove">;
  log: Logger;
}

const lanesPerTurn = 20;
/** A graph is judged in about a millisecond. Between pages the worker does its other work. */
const jobsPerPage = 25;
/** What a turn may read and judge; the rest waits for the next one. */
const pagesPerTurn = 20;
/** A lane whose jobs were judged by these servers is looked at again after this, since more may have been accepted. */
const againAfterMs = 30_000;

interface Server {
  hash: string;
  labels: readonly string[];
}

interface Progress {
  /** By which servers the lane's jobs are judged. */
  servers: string;
  upTo: string | null;
  /** Jobs that none of these servers can run. */
  left: number;
  doneAtMs: number | null;
}

/**
 * Judges jobs that were accepted while no server was known. What they need of a server was guessed from the names in
 * their graphs, and a server that lacks what was guessed wrongly would never take them. When definitions of servers are
 * known, the jobs move to the lanes of what they really need. Jobs that no known server can run stay where they are, and
 * are judged again when the servers change.
 */
export class GuessedLaneJudge {
  readonly #options: GuessedLaneJudgeOptions;
  readonly #canRun: RunnableCache;
  readonly #progress = new Map<string, Progress>();

  constructor(options: GuessedLaneJudgeOptions) {
    this.#options = options;
    this.#canRun = new RunnableCache(options.definitions);
  }

  /** One process at a time calls this, once a second or so. */
  async tick(): Promise<void> {
    const names = await this.#options.lanes.listGuessed(lanesPerTurn);
    for (const name of this.#progress.keys()) if (!names.includes(name)) this.#progress.delete(name);
    if (names.length === 0) return;
    const servers = await this.#servers();
    if (servers.length === 0) return;
    const key = JSON.stringify(servers);
    let pages = pagesPerTurn;
    for (const lane of names) {
      const progress = this.#progressOf(lane, key);
      while (pages > 0 && progress.doneAtMs === null) {
        pages -= 1;
        await this.#judgePage(lane, servers, progress);
      }
    }
  }

  #progressOf(lane: string, servers: string): Progress {
    const known = this.#progress.get(lane);
    const doneAtMs = known?.doneAtMs ?? Infinity;
    const isOld = performance.now() - doneAtMs > againAfterMs;
    if (known?.servers === servers && !isOld) return known;
    const fresh = { servers, upTo: null, left: 0, doneAtMs: null };
    this.#progress.set(lane, fresh);
    return fresh;
  }

  /** Servers that differ in what they have, each once. */
  async #servers(): Promise<Server[]> {
    const records = await this.#options.servers.listServers();
    const servers = records.flatMap(({ definitionsHash: hash, labels }): [string, Server][] =>
      hash === null ? [] : [[JSON.stringify([hash, labels]), { hash, labels }]],
    );
    return [...new Map(servers).entries()]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, each]) => each);
  }

  async #judgePage(lane: string, servers: readonly Server[], progress: Progress): Promise<void> {
    const { lanes, tickets, log } = this.#options;
    const jobs = await lanes.listJobsOf(lane, progress.upTo, jobsPerPage);
    const judged = await Promise.all(
      jobs.map(async (job) => ({ job, lane: await this.#laneOf(job, servers) })),
    );
    const moves = judged.flatMap((each) =>
      each.lane === null || each.lane.name === lane ? [] : [{ job: each.job, lane: each.lane }],
    );
    await tickets.remove(await lanes.moveJobs(lane, moves));
    if (moves.length > 0)
      log.info({ lane, jobs: moves.length }, "jobs moved to the lanes of what they really need");
    progress.left += judged.filter((each) => each.lane === null).length;
    progress.upTo = jobs.at(-1)?.jobId ?? null;
    if (jobs.length === jobsPerPage) return;
    progress.doneAtMs = performance.now();
    if (progress.left === 0) await lanes.settle(lane);
  }

  /** `null` = none of the servers can run it, or its row has a fault. */
  async #laneOf(job: GuessedJob, servers: readonly Server[]): Promise<Lane | null> {
    try {
      for (const { hash, labels } of servers) {
        if (!(await this.#canRun.testByHash(job, hash, labels))) continue;
        const definitions = await this.#options.definitions.find(hash);
        if (definitions === null) continue;
        return laneOf(serverNeedsOf(parseWorkflow(job.workflow), definitions.objectInfo), job.requires);
      }
    } catch (error) {
      if (error instanceof StoreUnavailableError) throw error;
      this.#options.log.error({ err: error, jobId: job.jobId }, "a job's needs could not be found out");
    }
    return null;
  }
}
