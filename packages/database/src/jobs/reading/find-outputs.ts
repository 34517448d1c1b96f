import { type JobOutput, type OutputPlace } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { type PrismaClient } from "../../generated/client.ts";
import { outputFromRow } from "../job-rows.ts";

export async function listOutputs(
  database: PrismaClient,
  tenantId: string,
  jobId: string,
): Promise<JobOutput[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.jobOutput.findMany({
    where: { jobId, job: { tenantId } },
    orderBy: { index: "asc" },
  });
  return rows.map(outputFromRow);
}

/** Those of these outputs that the tenant's jobs have. */
export async function findOutputs(
  database: PrismaClient,
  tenantId: string,
  ids: readonly string[],
): Promise<JobOutput[]> {
  const known = ids.filter((id) => isUuid(id));
  if (known.length === 0) return [];
  const rows = await database.jobOutput.findMany({ where: { id: { in: known }, job: { tenantId } } });
  return rows.map(outputFromRow);
}

/** Those of these outputs that are files. */
export async function findFilesAt(
  database: PrismaClient,
  tenantId: string,
  places: readonly OutputPlace[],
): Promise<(OutputPlace & { id: string })[]> {
  const known = places.filter(({ jobId }) => isUuid(jobId));
  if (known.length === 0) return [];
  const [jobIds, indexes] = [known.map(({ jobId }) => jobId), known.map(({ index }) => index)];
  return await database.$queryRaw<(OutputPlace & { id: string })[]>`
    SELECT DISTINCT output.id, output.job_id AS "jobId", output.index
    FROM unnest(${jobIds}::uuid[], ${indexes}::int[]) AS wanted(job_id, index)
    JOIN outputs output ON output.job_id = wanted.job_id AND output.index = wanted.index
    JOIN jobs job ON job.id = output.job_id
    WHERE job.tenant_id = ${tenantId}::uuid AND output.kind = 'file'`;
}

export async function findOutput(
  database: PrismaClient,
  tenantId: string,
  id: string,
): Promise<JobOutput | null> {
  if (!isUuid(id)) return null;
  const row = await database.jobOutput.findUnique({ where: { id, job: { tenantId } } });
  return row === null ? null : outputFromRow(row);
}
