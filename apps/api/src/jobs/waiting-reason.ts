import {
  missingFrom,
  needsOf,
  parseWorkflow,
  replacementOf,
  type GraphNeeds,
  type NodeReplacements,
  type ObjectInfo,
} from "@genga/comfyui";
import {
  type Job,
  type JobDependency,
  type JobReader,
  publicNameOf,
  type ShownServerState,
  takesWork,
} from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { foundParameters } from "./found-jobs.ts";
import { type WaitingReason } from "./job-view.ts";
import { type KnownServers } from "../servers/known-servers.ts";
import { type Sight } from "../access/sight.ts";

const rememberedMax = 1_000;

/** The most dependencies in one reason. */
const dependenciesMax = 100;

/** A reason that the job itself has, whatever the servers do; `null` = it has none. */
function reasonOfJob(
  { pausedAt }: Job,
  dependsOn: readonly JobDependency[],
): { code: WaitingReason["code"]; message: string; more?: Partial<WaitingReason> } | null {
  if (pausedAt !== null) {
    return { code: "paused", message: `It is paused since ${pausedAt.toISOString()}, until it is resumed.` };
  }
  const open = dependsOn.filter(({ isMet }) => !isMet);
  if (open.length === 0) return null;
  const who =
    open.length === 1 ? "A job that it depends on has" : `${open.length} jobs that it depends on have`;
  const dependencies = open.slice(0, dependenciesMax);
  return { code: "dependency", message: `${who} to complete first.`, more: { dependencies } };
}

const inWords: Record<ShownServerState, string> = {
  unknown: "was not checked yet",
  online: "is online",
  probing: "is probing",
  unreachable: "is unreachable",
  wedged: "is wedged",
  failing: "is failing",
  unowned: "has no worker",
  retired: "is retired",
};

/** Tenants learn how many of their own jobs come first, operators also how many of other tenants. */
function placeInQueue(
  { own, others }: { own: number; others: number },
  { operates }: Sight,
): { code: WaitingReason["code"]; message: string } {
  const come = (count: number): string => (count === 1 ? "job comes" : "jobs come");
  if (operates && others > 0) {
    const message = `${own + others} ${come(own + others)} before it, ${others} of other tenants.`;
    return { code: "behind-others", message };
  }
  if (own > 0) return { code: "behind-others", message: `${own} ${come(own)} before it.` };
  const who = operates ? "It is next" : "It is the next of its tenant's jobs";
  return { code: "next", message: `${who}, as soon as a server has room.` };
}

/** Says why a queued job waits. What prevents it from running comes first, then the jobs before it. */
export class WaitingReasons {
  readonly #jobs: JobReader;
  readonly #servers: KnownServers;
  /** What a job needs never changes, so its graph is read once. */
  readonly #needs = new LRUCache<string, GraphNeeds>({ max: rememberedMax });

  constructor(parts: { jobs: JobReader; servers: KnownServers }) {
    this.#jobs = parts.jobs;
    this.#servers = parts.servers;
  }

  /** `null` for a job that is not queued. */
  async of(job: Job, sight: Sight, dependsOn: readonly JobDependency[]): Promise<WaitingReason | null> {
    if (job.status !== "queued") return null;
    const jobs = this.#jobs.of(job.tenantId);
    const [before, tenant, farm, known] = await Promise.all([
      jobs.countJobsBefore(job),
      jobs.findRunning(),
      this.#servers.farm(),
      this.#servers.list(),
    ]);
    const reason = (
      code: WaitingReason["code"],
      message: string,
      more: Partial<WaitingReason> = {},
    ): WaitingReason => ({
      ...{ code, message, jobsBefore: before.own, until: null, missing: [] },
      ...(sight.operates ? { othersBefore: before.others } : {}),
      ...more,
    });

    const own = reasonOfJob(job, dependsOn);
    if (own !== null) return reason(own.code, own.message, own.more);
    const servers = farm.servers.filter(({ state }) => state !== "retired");
    if (farm.pause !== null) {
      const since = farm.pause.pausedAt.toISOString();
      return reason(
        "farm-paused",
        `The farm is paused since ${since}: nothing begins until an operator resumes it.`,
      );
    }
    if (servers.length === 0) return reason("no-server", "No ComfyUI server is registered yet.");
    if (farm.workersAlive === 0) {
      return reason("no-worker", "No worker is alive: nothing runs until one is started.");
    }
    if (farm.fullDisks.length >= farm.workersAlive) {
      const message = "The disk for outputs is nearly full: nothing begins until there is room again.";
      return reason("storage-full", message);
    }
    const online = servers.filter(({ state, draining }) => takesWork(state) && !draining);
    if (online.length === 0) {
      const states = servers.map(
        ({ id, url, state, draining }) =>
          `${sight.operates ? url : publicNameOf({ id })} ${draining ? "is draining" : inWords[state]}`,
      );
      return reason("no-server-online", `No server takes work now: ${states.join("; ")}.`);
    }
    const onlineIds = new Set(online.map(({ id }) => id));
    const missing = await this.#missingEverywhere(
      job,
      known.filter(({ id }) => onlineIds.has(id)),
    );
    if (missing.length > 0) {
      return reason("no-server-can-run-it", `No server that is online has ${missing.join(", ")}.`, {
        missing,
      });
    }
    if (job.runAt !== null && job.runAt.getTime() > Date.now()) {
      const until = job.runAt.toISOString();
      return job.attempt === 0
        ? reason("run-at", `It begins at ${until} at the earliest, as its runAt says.`, { until })
        : reason("backoff", `It is tried again at ${until}.`, { until });
    }
    if (tenant.max !== null && tenant.running >= tenant.max) {
      return reason(
        "tenant-limit",
        `Its tenant has ${tenant.running} of ${tenant.max} jobs running; the next one runs when one of them ends.`,
      );
    }
    const queue = placeInQueue(before, sight);
    return reason(queue.code, queue.message);
  }

  /**
   * What the server that lacks least lacks. Empty when some server can run the job, or when no server's definitions are
   * known.
   */
  async #missingEverywhere(
    job: Job,
    catalogues: { objectInfo: ObjectInfo; replacements?: NodeReplacements }[],
  ): Promise<string[]> {
    if (catalogues.length === 0) return [];
    const needs = await this.#needsOf(job);
    const lacks = catalogues.map(({ objectInfo, replacements = {} }) => {
      const { classTypes, models } = missingFrom(needs, objectInfo);
      const missing = classTypes.filter((name) => !replacementOf(name, replacements, objectInfo));
      return [...missing.map((name) => `the node ${name}`), ...models.map(({ name }) => name)];
    });
    return lacks.reduce((best, other) => (other.length < best.length ? other : best));
  }

  async #needsOf(job: Job): Promise<GraphNeeds> {
    const known = this.#needs.get(job.id);
    if (known !== undefined) return known;
    const { workflow } = await foundParameters(this.#jobs.of(job.tenantId), job);
    const needs = needsOf(parseWorkflow(workflow));
    this.#needs.set(job.id, needs);
    return needs;
  }
}
