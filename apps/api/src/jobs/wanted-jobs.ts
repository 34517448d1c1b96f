import { type Job, type TenantJobReader } from "@genga/jobs";
import { LRUCache } from "lru-cache";

/** What a job must have to be told of. Labels and the batch of a job never change. */
export type JobChoice = Partial<Record<"project" | "scene" | "shot" | "tag", string>>;

/** Jobs of which it is remembered whether they are wanted. */
const rememberedMax = 10_000;

/** Which jobs a watcher wants to hear of; one statement for all that are not known yet. A removed job is wanted by nobody. */
export class WantedJobs {
  readonly #jobs: Pick<TenantJobReader, "findJobs">;
  readonly #choice: JobChoice;
  /** Made when something is to be remembered, since it takes its memory for all of them at once. */
  #remembered: LRUCache<string, boolean> | undefined;

  constructor(jobs: Pick<TenantJobReader, "findJobs">, choice: JobChoice) {
    this.#jobs = jobs;
    this.#choice = choice;
  }

  async among(jobIds: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    if (Object.keys(this.#choice).length === 0) return jobIds;
    const known = (this.#remembered ??= new LRUCache({ max: rememberedMax }));
    const wanted = new Set([...jobIds].filter((id) => known.get(id) === true));
    const unknown = [...jobIds].filter((id) => !known.has(id));
    if (unknown.length === 0) return wanted;
    for (const job of await this.#jobs.findJobs(unknown)) {
      const isWanted = this.#isWanted(job);
      known.set(job.id, isWanted);
      if (isWanted) wanted.add(job.id);
    }
    return wanted;
  }

  #isWanted({ project, scene, shot, tags }: Job): boolean {
    const { tag, ...labels } = this.#choice;
    if (tag !== undefined && !tags.includes(tag)) return false;
    const own = { project, scene, shot };
    return (["project", "scene", "shot"] as const).every(
      (name) => labels[name] === undefined || labels[name] === own[name],
    );
  }
}
