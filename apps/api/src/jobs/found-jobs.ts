import {
  BatchNotFoundError,
  BatchRemovedError,
  type Batch,
  type Job,
  JobNotFoundError,
  type StoredParameters,
  present,
  type TenantJobReader,
} from "@genga/jobs";

// These find the job or batch that a path names, among those of the principal's tenant. The route has already checked
// that the id is a UUID in lower case.

/** @throws JobNotFoundError @throws JobRemovedError */
export async function foundJob(jobs: TenantJobReader, id: string): Promise<Job> {
  return present(await jobs.findJob(id), id);
}

/** @throws JobNotFoundError the job was removed meanwhile */
export async function foundParameters(jobs: TenantJobReader, { id }: Job): Promise<StoredParameters> {
  const parameters = await jobs.findParameters(id);
  if (parameters === null) throw new JobNotFoundError(id);
  return parameters;
}

/** @throws BatchNotFoundError @throws BatchRemovedError */
export async function foundBatch(jobs: TenantJobReader, id: string): Promise<Batch> {
  const batch = await jobs.findBatch(id);
  if (batch !== null) return batch;
  throw (await jobs.isBatchRemoved(id)) ? new BatchRemovedError(id) : new BatchNotFoundError(id);
}
