import {
  shownPrompt,
  type Job,
  type StoredParameters,
  type JobPrompt,
  type JobType,
  type ShownJob,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { graphText, jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";

/**
 * An id that is not a UUID is not found.
 * @param of.tenantId the job's tenant; absent = any tenant, for workers, and for requests about a job that was already
 * found by its tenant
 */
export async function findJob(
  database: PrismaClient,
  id: string,
  of: { tenantId?: string } = {},
): Promise<Job | "removed" | null> {
  if (!isUuid(id)) return null;
  // As SQL: Prisma gathers the reads by id of a thousand watchers, and compiles that query for a second.
  const ofTenant =
    of.tenantId === undefined ? Prisma.empty : Prisma.sql`AND job.tenant_id = ${of.tenantId}::uuid`;
  const [row] = await database.$queryRaw<JobRow[]>`
    SELECT ${jobColumns} FROM jobs job WHERE job.id = ${id}::uuid ${ofTenant}`;
  if (row !== undefined) return jobFromRow(row);
  return (await database.removedJob.findUnique({ where: { id, ...of } })) === null ? null : "removed";
}

export async function findJobs(database: PrismaClient, tenantId: string, ids: string[]): Promise<Job[]> {
  const rows = await database.$queryRaw<JobRow[]>`
    SELECT ${jobColumns} FROM unnest(${ids.filter((id) => isUuid(id))}::uuid[]) WITH ORDINALITY AS asked(id, place)
    JOIN jobs job ON job.id = asked.id
    WHERE job.tenant_id = ${tenantId}::uuid
    ORDER BY asked.place`;
  return rows.map(jobFromRow);
}

export async function listBatchJobs(
  database: PrismaClient,
  tenantId: string,
  batchId: string,
): Promise<Job[]> {
  if (!isUuid(batchId)) return [];
  const rows = await database.$queryRaw<JobRow[]>`
    SELECT ${jobColumns} FROM jobs job
    WHERE job.batch_id = ${batchId}::uuid AND job.tenant_id = ${tenantId}::uuid
    ORDER BY job.batch_index`;
  return rows.map(jobFromRow);
}

export async function findParameters(
  database: PrismaClient,
  tenantId: string,
  jobId: string,
): Promise<StoredParameters | null> {
  if (!isUuid(jobId)) return null;
  const [row] = await database.$queryRaw<StoredParameters[]>`
    SELECT asked.parameters, asked.template_values AS "templateValues", ${graphText} AS workflow, coalesce((
      SELECT jsonb_agg(jsonb_build_object('name', input.name, 'from', input.needs_id, 'output', input.output_index))
      FROM job_inputs input WHERE input.job_id = job.id AND job.reused_from IS NULL), '[]') AS inputs,
      asked.extra_data_text AS "extraDataText", job.has_extra_data AS "hadSecrets", asked.workflow_hash AS "workflowHash"
    FROM jobs job JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE job.id = ${jobId}::uuid AND job.tenant_id = ${tenantId}::uuid`;
  return row ?? null;
}

/** No class of a node has a longer name. */
const classCharactersMax = 200;

export async function findNodeClasses(
  database: PrismaClient,
  tenantId: string,
  jobId: string,
  nodesMax: number,
): Promise<Map<string, string>> {
  if (!isUuid(jobId)) return new Map();
  const rows = await database.$queryRaw<{ node: string; nodeClass: string }[]>`
    SELECT node.id AS node, node.content ->> 'class_type' AS "nodeClass"
    FROM jobs job JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    CROSS JOIN LATERAL jsonb_each(workflows.graph) AS node(id, content)
    WHERE job.id = ${jobId}::uuid AND job.tenant_id = ${tenantId}::uuid
      AND length(node.content ->> 'class_type') <= ${classCharactersMax}
    LIMIT ${nodesMax}::int`;
  return new Map(rows.map(({ node, nodeClass }) => [node, nodeClass]));
}

export async function findPrompts(
  database: PrismaClient,
  tenantId: string,
  jobIds: string[],
): Promise<Map<string, JobPrompt>> {
  const rows = await database.$queryRaw<
    { id: string; type: JobType; promptText: string; negativePrompt: string | null }[]
  >`
    SELECT job.id, job.type, asked.prompt_text AS "promptText", asked.parameters->>'negativePrompt' AS "negativePrompt"
    FROM job_parameters asked JOIN jobs job ON job.id = asked.job_id
    WHERE asked.job_id = ANY(${jobIds.filter((id) => isUuid(id))}::uuid[]) AND job.tenant_id = ${tenantId}::uuid`;
  return new Map(rows.map((row) => [row.id, shownPrompt(row)]));
}

/**
 * The model is that of its lane. A lane that is not used any more is removed, and its jobs stay: of those that were not
 * submitted as a graph the parameters tell the model, too.
 */
export async function findShown(
  database: PrismaClient,
  tenantId: string,
  jobIds: string[],
  pictureTypes: readonly string[],
): Promise<Map<string, ShownJob>> {
  type Row = Omit<ShownJob, "prompt"> & { id: string; type: JobType; promptText: string };
  // A subquery with a limit reads the outputs of these jobs only; EXISTS may be planned to read those of all jobs.
  const rows = await database.$queryRaw<Row[]>`
    SELECT job.id, job.type, asked.prompt_text AS "promptText", asked.parameters->>'negativePrompt' AS "negativePrompt",
      coalesce(lane.main_model, CASE WHEN job.type <> 'workflow' THEN asked.parameters->>'model' END) AS model,
      marked.mark,
      job.status = 'completed' AND (
        SELECT true FROM outputs WHERE outputs.job_id = job.id AND outputs.storage_key IS NOT NULL
          AND outputs.media_type = ANY(${[...pictureTypes]}::text[]) LIMIT 1) IS NOT NULL AS "hasPicture"
    FROM job_parameters asked JOIN jobs job ON job.id = asked.job_id LEFT JOIN lanes lane ON lane.name = job.lane
    LEFT JOIN job_marks marked ON marked.job_id = job.id
    WHERE asked.job_id = ANY(${jobIds.filter((id) => isUuid(id))}::uuid[]) AND job.tenant_id = ${tenantId}::uuid`;
  return new Map(
    rows.map(({ model, hasPicture, mark, ...row }) => [
      row.id,
      { ...shownPrompt(row), model, hasPicture, mark },
    ]),
  );
}
