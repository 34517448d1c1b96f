import { parseWorkflow } from "@genga/comfyui";
import {
  durationKeys,
  estimateRun,
  type Job,
  type JobReader,
  type RunDurations,
  type RunEstimate,
  type RunKind,
} from "@genga/jobs";
import { runKindOf } from "@genga/workflows";
import { LRUCache } from "lru-cache";

/** Kinds of jobs, which never change. */
const rememberedMax = 2_000;

/** How long jobs take once they run, by what was measured of runs like theirs. */
export class JobDurations {
  readonly #jobs: Pick<JobReader, "of">;
  readonly #durations: Pick<RunDurations, "findDurations">;
  readonly #kinds = new LRUCache<string, RunKind>({ max: rememberedMax });

  constructor(parts: { jobs: Pick<JobReader, "of">; durations: Pick<RunDurations, "findDurations"> }) {
    this.#jobs = parts.jobs;
    this.#durations = parts.durations;
  }

  /** @param serverId `null` = on any server @returns `null` = nothing like it was measured */
  async estimate(job: Job, serverId: string | null): Promise<RunEstimate | null> {
    const kind = await this.#kindOf(job);
    if (kind === null) return null;
    const rows = await this.#durations.findDurations(durationKeys(kind, serverId).map(({ key }) => key));
    return estimateRun(kind, serverId, new Map(rows.map((row) => [row.key, row])));
  }

  /** `null` = the job was removed. */
  async #kindOf(job: Job): Promise<RunKind | null> {
    const known = this.#kinds.get(job.id);
    if (known !== undefined) return known;
    const parameters = await this.#jobs.of(job.tenantId).findParameters(job.id);
    if (parameters === null) return null;
    const kind = runKindOf(parseWorkflow(parameters.workflow));
    this.#kinds.set(job.id, kind);
    return kind;
  }
}
