import {
  BatchNotFoundError,
  type Batch,
  type Job,
  JobNotFoundError,
  type JobParameters,
  present,
  type TenantJobReader,
} from "@genga/jobs";

// What a path names, among the jobs of the tenant that asks. The route has checked that it is a UUID in lower case.

/** @throws JobNotFoundError @throws JobRemovedError */
export async function foundJob(jobs: TenantJobReader, id: string): Promise<Job> {
  return present(await jobs.findJob(id), id);
}

/** @throws JobNotFoundError the job was removed meanwhile */
export async function foundParameters(jobs: TenantJobReader, { id }: Job): Promise<JobParameters> {
  const parameters = await jobs.findParameters(id);
  if (parameters === null) throw new JobNotFoundError(id);
  return parameters;
}

/** @throws BatchNotFoundError */
export async function foundBatch(jobs: TenantJobReader, id: string): Promise<Batch> {
  const batch = await jobs.findBatch(id);
  if (batch === null) throw new BatchNotFoundError(id);
  return batch;
}
