import {
  type Job,
  type JobDependency,
  type JobReader,
  type JobsBefore,
  type LaneFacts,
  type LaneServing,
  type LaneStore,
  publicNameOf,
  type ShownServerState,
  takesWork,
} from "@genga/jobs";
import { type ServerLack } from "@genga/workflows";
import { EligibleServers, missingInWords } from "./eligible-servers.ts";
import { estimateWaitMs, placeInQueue } from "./queue-place.ts";
import { type WaitingReason } from "./waiting-view.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { type ShownFarm } from "../servers/shown-farm.ts";
import { type Sight } from "../access/sight.ts";

/** The most dependencies in one reason. */
const dependenciesMax = 100;

/** A reason, without the place in the queue that all reasons have. */
interface Said {
  code: WaitingReason["code"];
  message: string;
  more?: Partial<WaitingReason>;
}

/** A reason that the job itself has, whatever the servers do; `null` = it has none. */
function reasonOfJob({ pausedAt }: Job, dependsOn: readonly JobDependency[]): Said | null {
  if (pausedAt !== null) {
    return { code: "paused", message: `It is paused since ${pausedAt.toISOString()}, until it is resumed.` };
  }
  const open = dependsOn.filter(({ isMet }) => !isMet);
  if (open.length === 0) return null;
  const dependencies = open.slice(0, dependenciesMax);
  return { code: "dependency", message: mustCompleteFirst(open), more: { dependencies } };
}

/** `Job frame (processing) must complete first.` Jobs of a batch are named by their keys. */
function mustCompleteFirst(open: readonly JobDependency[]): string {
  const named = open.slice(0, 3).map(({ jobId, key, status }) => `${key ?? jobId} (${status})`);
  const more = open.length > named.length ? ` and ${open.length - named.length} more` : "";
  return `Job${open.length === 1 ? "" : "s"} ${named.join(", ")}${more} must complete first.`;
}

const inWords: Record<ShownServerState, string> = {
  unknown: "was not checked yet",
  online: "is online",
  probing: "is probing",
  unreachable: "is unreachable",
  denied: "refuses the credentials",
  wedged: "is wedged",
  failing: "is failing",
  leaving: "has a worker that takes no new jobs",
  recycling: "is being recycled",
  retiring: "is being retired",
  "storage-full": "has a worker whose disk for outputs is nearly full",
  "storage-unavailable": "has a worker that cannot write to the storage for outputs",
  unowned: "has no worker",
  retired: "is retired",
};

export interface WaitingReasonsParts {
  jobs: JobReader;
  servers: KnownServers;
  lanes: Pick<LaneStore, "findLanes">;
  laneServing: Pick<LaneServing, "readLanes">;
  /** Whether Redis cannot be reached now. */
  isRedisAway: () => Promise<boolean>;
}

/** What keeps a job waiting that nothing but other jobs keeps from beginning. */
export interface WaitingRoom {
  before: JobsBefore;
  lane: LaneFacts | undefined;
  /** The servers that can run it and take work; at least one. */
  serverIds: readonly string[];
  /** One of them has its model loaded, or it needs none. */
  isLoaded: boolean;
}

export interface Waiting {
  reason: WaitingReason;
  /** `null` = something else than other jobs keeps it from beginning. */
  room: WaitingRoom | null;
  /** For whom the reason is worded. */
  sight: Sight;
}

/**
 * Says why a queued job waits. What prevents it from running comes first, then the jobs before it. What it reads is
 * bounded, however many jobs wait.
 */
export class WaitingReasons {
  readonly #parts: WaitingReasonsParts;
  readonly #eligible: EligibleServers;

  constructor(parts: WaitingReasonsParts) {
    this.#parts = parts;
    this.#eligible = new EligibleServers(parts);
  }

  /** `null` for a job that is not queued. */
  async of(job: Job, sight: Sight, dependsOn: readonly JobDependency[]): Promise<Waiting | null> {
    if (job.status !== "queued") return null;
    const { jobs, servers: knownServers, laneServing, isRedisAway } = this.#parts;
    const own = jobs.of(job.tenantId);
    const [before, tenant, farm, known, [lane], redisIsAway] = await Promise.all([
      own.countJobsBefore(job),
      own.findRunning(),
      knownServers.farm(),
      knownServers.list(),
      laneServing.readLanes([job.lane]),
      isRedisAway(),
    ]);
    const wordedAs = ({ code, message, more }: Said): WaitingReason => ({
      ...{ code, message, jobsBefore: before.own, hasMoreBefore: before.isMore.own },
      ...{ estimatedWaitMs: null, until: null, missing: [] },
      ...(sight.operates
        ? {
            ...{ othersBefore: before.others, lane: job.lane },
            position: before.isMore.all ? null : before.own + before.others + 1,
          }
        : {}),
      ...more,
    });
    const reason = (said: Said): Waiting => ({ reason: wordedAs(said), room: null, sight });

    const servers = farm.servers.filter(({ state }) => state !== "retired");
    const ofFarm = reasonOfJob(job, dependsOn) ?? reasonOfFarm(farm, servers, redisIsAway);
    if (ofFarm !== null) return reason(ofFarm);
    if (lane !== undefined && lane.pausedAt !== null) return reason(reasonOfLane(lane.pausedAt));
    const { ids, lack } = await this.#eligible.among(known, job);
    if (lack !== null) return reason(reasonOfLack(lack));
    // While no definitions are known, any server may turn out to be able to run it.
    const able = known.length === 0 ? servers : servers.filter(({ id }) => ids.has(id));
    const online = able.filter(({ state, draining }) => takesWork(state) && !draining);
    if (online.length === 0) {
      const who = able.length === servers.length ? "No server" : "No server that can run it";
      const message = `${who} takes work now: ${statesInWords(able, sight)}.`;
      return reason({ code: "no-server-online", message });
    }
    const ofTime = reasonOfTime(job) ?? reasonOfTenant(tenant);
    if (ofTime !== null) return reason(ofTime);
    const model = lane?.mainModel ?? null;
    const isLoaded = model === null || online.some(({ loadedModel }) => loadedModel === model);
    const estimatedWaitMs = estimateWaitMs(before, lane, { servers: online.length, isLoaded });
    const said = { ...placeInQueue(before, sight, isLoaded ? null : model), more: { estimatedWaitMs } };
    return { ...reason(said), room: { before, lane, serverIds: online.map(({ id }) => id), isLoaded } };
  }
}

function reasonOfFarm(
  { pause, workersAlive, storageHolds }: ShownFarm,
  servers: ShownFarm["servers"],
  redisIsAway: boolean,
): Said | null {
  if (pause !== null) {
    const since = pause.pausedAt.toISOString();
    return {
      code: "farm-paused",
      message: `The farm is paused since ${since}: nothing begins until an operator resumes it.`,
    };
  }
  if (servers.length === 0) return { code: "no-server", message: "No ComfyUI server is registered yet." };
  if (workersAlive === 0) {
    return { code: "no-worker", message: "No worker is alive: nothing runs until one is started." };
  }
  if (storageHolds.length >= workersAlive) {
    if (storageHolds.some(({ fault }) => fault !== null)) {
      const message = "The storage for outputs cannot be written to: nothing begins until it is back.";
      return { code: "storage-unavailable", message };
    }
    const message = "The disk for outputs is nearly full: nothing begins until there is room again.";
    return { code: "storage-full", message };
  }
  if (redisIsAway) {
    return { code: "redis-away", message: "Redis cannot be reached: nothing new begins until it is back." };
  }
  return null;
}

function reasonOfLane(pausedAt: Date): Said {
  const message = `Jobs with its requirements are paused since ${pausedAt.toISOString()}, until an operator resumes them.`;
  return { code: "lane-paused", message };
}

function reasonOfLack(lack: ServerLack): Said {
  const missing = missingInWords(lack);
  const more = { missing };
  const hasAllButLabels = lack.classTypes.length + lack.models.length === 0;
  return hasAllButLabels
    ? {
        code: "no-server-with-labels",
        message: `No known server that can run it has ${missing.join(", ")}.`,
        more,
      }
    : { code: "no-server-can-run-it", message: `No known server has ${missing.join(", ")}.`, more };
}

function reasonOfTime({ runAt, attempt }: Job): Said | null {
  if (runAt === null || runAt.getTime() <= Date.now()) return null;
  const until = runAt.toISOString();
  return attempt === 0
    ? {
        code: "run-at",
        message: `It begins at ${until} at the earliest, as its runAt says.`,
        more: { until },
      }
    : { code: "backoff", message: `It is tried again at ${until}.`, more: { until } };
}

function reasonOfTenant({ running, max }: { running: number; max: number | null }): Said | null {
  if (max === null || running < max) return null;
  const message = `Its tenant has ${running} of ${max} jobs running; the next one runs when one of them ends.`;
  return { code: "tenant-limit", message };
}

function statesInWords(servers: ShownFarm["servers"], sight: Sight): string {
  return servers
    .map(({ id, url, state, draining }) => {
      const name = sight.operates ? url : publicNameOf({ id });
      return `${name} ${draining ? "is draining" : inWords[state]}`;
    })
    .join("; ");
}
