import { parseWorkflow, serverNeedsOf, type ObjectInfo, type NodeReplacements } from "@genga/comfyui";
import { defaultLane, type Job, type JobReader, type Lane, type LaneStore } from "@genga/jobs";
import { lackOf, type KnownServer, type ServerLack } from "@genga/workflows";
import { LRUCache } from "lru-cache";
import { foundParameters } from "./found-jobs.ts";

/** How many lanes, and how many jobs of the lane `default`, are remembered; their needs never change. */
const rememberedMax = 1_000;

type Needs = Lane["needs"];

/** Which of some servers can run a job. */
export interface Eligible {
  /** The ids of those that can, as far as is known. */
  ids: ReadonlySet<string>;
  /** What the server lacks that lacks least; `null` = some server can run the job, or none is known. */
  lack: ServerLack | null;
}

/** Tells which servers can run a waiting job, by the needs of its lane. */
export class EligibleServers {
  readonly #jobs: JobReader;
  readonly #lanes: Pick<LaneStore, "findLanes">;
  readonly #ofLanes = new LRUCache<string, Needs>({ max: rememberedMax });
  readonly #ofJobs = new LRUCache<string, Needs>({ max: rememberedMax });

  constructor(parts: { jobs: JobReader; lanes: Pick<LaneStore, "findLanes"> }) {
    this.#jobs = parts.jobs;
    this.#lanes = parts.lanes;
  }

  async among(servers: readonly KnownServer[], job: Job): Promise<Eligible> {
    if (servers.length === 0) return { ids: new Set(), lack: null };
    const needs = await this.#needsOf(job);
    const byKind = new Map<string, ServerLack>();
    const ids = new Set<string>();
    for (const { id, definitionsHash, labels = [], objectInfo, replacements = {} } of servers) {
      const kind = JSON.stringify([definitionsHash, labels]);
      const lack = byKind.get(kind) ?? lackOn(needs, { objectInfo, replacements, labels });
      byKind.set(kind, lack);
      if (sizeOf(lack) === 0) ids.add(id);
    }
    if (ids.size > 0) return { ids, lack: null };
    const lack = [...byKind.values()].reduce((best, other) => (sizeOf(other) < sizeOf(best) ? other : best));
    return { ids, lack };
  }

  async #needsOf(job: Job): Promise<Needs> {
    const ofLane = job.lane === defaultLane ? undefined : await this.#ofLane(job.lane);
    return ofLane ?? (await this.#ofJob(job));
  }

  async #ofLane(name: string): Promise<Needs | undefined> {
    const known = this.#ofLanes.get(name);
    if (known !== undefined) return known;
    const [lane] = await this.#lanes.findLanes([name]);
    if (lane !== undefined) this.#ofLanes.set(name, lane.needs);
    return lane?.needs;
  }

  async #ofJob(job: Job): Promise<Needs> {
    const known = this.#ofJobs.get(job.id);
    if (known !== undefined) return known;
    const { workflow } = await foundParameters(this.#jobs.of(job.tenantId), job);
    const { classTypes, models } = serverNeedsOf(parseWorkflow(workflow));
    const needs = { classTypes, models, labels: job.requires };
    this.#ofJobs.set(job.id, needs);
    return needs;
  }
}

function lackOn(
  needs: Needs,
  {
    labels,
    ...definitions
  }: { objectInfo: ObjectInfo; replacements: NodeReplacements; labels: readonly string[] },
): ServerLack {
  return lackOf(needs, { definitions, labels });
}

function sizeOf({ classTypes, models, labels }: ServerLack): number {
  return classTypes.length + models.length + labels.length;
}

/** What is missing, one entry for each class, model and label. */
export function missingInWords({ classTypes, models, labels }: ServerLack): string[] {
  return [
    ...classTypes.map((name) => `the node ${name}`),
    ...new Set(models.map(({ name }) => name)),
    ...labels.map((label) => `the label ${label}`),
  ];
}
