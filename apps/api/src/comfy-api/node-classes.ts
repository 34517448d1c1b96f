import { type Job, type JobReader, StoreUnavailableError } from "@genga/jobs";
import { LRUCache } from "lru-cache";

/** Jobs of which the classes are remembered: those that clients ask for again and again while they run. */
const jobsMax = 200;
/** Nodes of one job of which the class is told; graphs of people have a tenth of it. */
const nodesMax = 2_000;

type Classes = Promise<ReadonlyMap<string, string>>;
type WatchedJob = Pick<Job, "id" | "tenantId">;

/** Which classes the nodes of jobs have. The graph of a job never changes, so it is read once. */
export class NodeClasses {
  readonly #jobs: Pick<JobReader, "of">;
  readonly #byJob = new LRUCache<string, Classes>({ max: jobsMax });

  constructor(jobs: Pick<JobReader, "of">) {
    this.#jobs = jobs;
  }

  /** `null` = not known, as of a node that another node has made while it ran, or while the database is away. */
  of(job: WatchedJob, node: string | null): Promise<string | null> {
    return this.reader(job)(node);
  }

  /** The same for one who watches the job: it is read once for all that follows, however many other jobs are watched. */
  reader(job: WatchedJob): (node: string | null) => Promise<string | null> {
    let classes: Classes | undefined;
    return async (node) => {
      if (node === null) return null;
      classes ??= this.#read(job);
      try {
        return (await classes).get(node) ?? null;
      } catch (error) {
        classes = undefined;
        if (error instanceof StoreUnavailableError) return null;
        throw error;
      }
    };
  }

  #read({ id, tenantId }: WatchedJob): Classes {
    const known = this.#byJob.get(id);
    if (known !== undefined) return known;
    const classes = this.#jobs.of(tenantId).findNodeClasses(id, nodesMax);
    this.#byJob.set(id, classes);
    classes.catch(() => this.#byJob.delete(id));
    return classes;
  }
}
