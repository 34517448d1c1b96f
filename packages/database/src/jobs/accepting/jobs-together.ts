import { type Job, type NewJob, type NewSubmission } from "@genga/jobs";
import { TenantGatherers } from "../../connection/tenant-gatherers.ts";

type Insert = (submission: NewSubmission) => Promise<Job[]>;

/**
 * Accepts single jobs that come while another one of their tenant is being accepted together with each other. Each would lock
 * the tenant's rows until its commit, so that one after the other would wait for the disk.
 *
 * If that fails for another reason than an outage, each is accepted or refused alone.
 */
export class JobsTogether {
  readonly #insert: Insert;
  readonly #together: TenantGatherers<NewJob, Job>;

  /** @param insert inserts a submission, or nothing of it; the jobs come back in the given order */
  constructor(insert: Insert) {
    this.#insert = insert;
    this.#together = new TenantGatherers((tenantId, jobs) => insert({ tenantId, batch: null, jobs }));
  }

  insert(submission: NewSubmission): Promise<Job[]> {
    const { tenantId, jobs } = submission;
    const [job] = jobs;
    if (job === undefined || !mayShare(submission)) return this.#insert(submission);
    return this.#together.add(tenantId, job).then((inserted) => [inserted]);
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
