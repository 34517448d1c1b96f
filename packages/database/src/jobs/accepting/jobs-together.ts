import { StoreUnavailableError, type Job, type NewJob, type NewSubmission } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { mapDatabaseError } from "../../connection/database-errors.ts";
import { Gatherer } from "../../connection/gatherer.ts";

type Insert = (submission: NewSubmission) => Promise<Job[]>;

/** Jobs that one statement inserts for several submissions. */
const togetherMax = 64;
/** A statement that takes longer waits for something, and later submissions need not wait for it. */
const slowMs = 250;
/** Of one tenant, at the same time. */
const runsMax = 4;
/** Tenants that are remembered. */
const tenantsMax = 1_000;

/**
 * Accepts single jobs that come while another one of their tenant is being accepted together with each other. Each would lock
 * the tenant's rows until its commit, so that one after the other would wait for the disk.
 *
 * If that fails for another reason than an outage, each is accepted or refused alone.
 */
export class JobsTogether {
  readonly #insert: Insert;
  readonly #tenants = new LRUCache<string, Gatherer<NewJob, Job>>({ max: tenantsMax });

  /** @param insert inserts a submission, or nothing of it; the jobs come back in the given order */
  constructor(insert: Insert) {
    this.#insert = insert;
  }

  insert(submission: NewSubmission): Promise<Job[]> {
    const { tenantId, jobs } = submission;
    const [job] = jobs;
    if (job === undefined || !mayShare(submission)) return this.#insert(submission);
    return this.#of(tenantId)
      .add(job)
      .then((inserted) => [inserted]);
  }

  #of(tenantId: string): Gatherer<NewJob, Job> {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) return known;
    const gatherer = new Gatherer<NewJob, Job>({
      run: (jobs) => this.#insert({ tenantId, batch: null, jobs }),
      fits: (_job, together) => together.length < togetherMax,
      isOfOne: (error) => !(mapDatabaseError(error) instanceof StoreUnavailableError),
      ...{ slowMs, runsMax },
    });
    this.#tenants.set(tenantId, gatherer);
    return gatherer;
  }
}

/** A claim of an Idempotency-Key, dependencies and reuse need transactions of their own. */
function mayShare({ batch, claim, jobs }: NewSubmission): boolean {
  return (
    batch === null &&
    claim === undefined &&
    jobs.length === 1 &&
    jobs.every(
      ({ dependsOn = [], key, mayReuse }) =>
        dependsOn.length === 0 && (key ?? null) === null && mayReuse !== true,
    )
  );
}
