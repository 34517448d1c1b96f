import {
  BatchNotFoundError,
  type Batch,
  type Job,
  JobNotFoundError,
  type JobOutput,
  type JobParameters,
  present,
  type TenantJobReader,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { RefusedError } from "../http/problem-document.ts";

// What a path names, among the jobs of the tenant that asks. Ids that cannot be ids are not asked for.

/** @throws JobNotFoundError @throws JobRemovedError */
export async function foundJob(jobs: TenantJobReader, id: string): Promise<Job> {
  if (!isUuid(id)) throw new JobNotFoundError(id.slice(0, 100));
  return present(await jobs.findJob(id.toLowerCase()), id.toLowerCase());
}

/** @throws JobNotFoundError the job was removed meanwhile */
export async function foundParameters(jobs: TenantJobReader, { id }: Job): Promise<JobParameters> {
  const parameters = await jobs.findParameters(id);
  if (parameters === null) throw new JobNotFoundError(id);
  return parameters;
}

/** @throws RefusedError `output-not-found` */
export async function foundOutput(jobs: TenantJobReader, id: string): Promise<JobOutput> {
  const output = isUuid(id) ? await jobs.findOutput(id.toLowerCase()) : null;
  if (output === null) throw new RefusedError("output-not-found", `There is no output ${id.slice(0, 100)}.`);
  return output;
}

/** @throws BatchNotFoundError */
export async function foundBatch(jobs: TenantJobReader, id: string): Promise<Batch> {
  if (!isUuid(id)) throw new BatchNotFoundError(id.slice(0, 100));
  const batch = await jobs.findBatch(id.toLowerCase());
  if (batch === null) throw new BatchNotFoundError(id.toLowerCase());
  return batch;
}
