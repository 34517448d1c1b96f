import { parseWorkflow } from "@genga/comfyui";
import { type Job, type JobReader, StoreUnavailableError } from "@genga/jobs";
import { LRUCache } from "lru-cache";

/** Jobs of which the classes are remembered: those that clients look at while they run. */
const jobsMax = 200;
/** Of larger graphs no classes are told, because parsing one would keep other requests waiting. */
const charactersMax = 1_000_000;

/** Which classes the nodes of jobs have. The graph of a job never changes, so it is read once. */
export class NodeClasses {
  readonly #jobs: Pick<JobReader, "of">;
  readonly #byJob = new LRUCache<string, Promise<ReadonlyMap<string, string>>>({ max: jobsMax });

  constructor(jobs: Pick<JobReader, "of">) {
    this.#jobs = jobs;
  }

  /** `null` = not known, as of a node that another node has made while it ran, or while the database is away. */
  async of(job: Pick<Job, "id" | "tenantId">, node: string | null): Promise<string | null> {
    if (node === null) return null;
    const known = this.#byJob.get(job.id);
    const classes = known ?? this.#read(job);
    if (known === undefined) this.#byJob.set(job.id, classes);
    try {
      return (await classes).get(node) ?? null;
    } catch (error) {
      this.#byJob.delete(job.id);
      if (error instanceof StoreUnavailableError) return null;
      throw error;
    }
  }

  async #read({ id, tenantId }: Pick<Job, "id" | "tenantId">): Promise<ReadonlyMap<string, string>> {
    const parameters = await this.#jobs.of(tenantId).findParameters(id);
    if (parameters === null || parameters.workflow.length > charactersMax) return new Map();
    const graph = parseWorkflow(parameters.workflow);
    return new Map(Object.entries(graph).map(([node, { class_type: classType }]) => [node, classType]));
  }
}
