import {
  InvalidJobError,
  isTerminal,
  StoreUnavailableError,
  type Job,
  type JobFilter,
  type Page,
} from "@genga/jobs";
import { MAX as maxId, NIL as nilId, validate as isUuid } from "uuid";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { isStorable } from "../../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { decodeCursor, encodeCursor } from "./job-cursor.ts";

/**
 * Newest first, by id, since ids contain their time.
 * @throws InvalidJobError for a cursor that came from no page, and for a text whose search takes too long
 */
export async function listJobs(
  database: PrismaClient,
  tenantId: string,
  filter: JobFilter,
  searchMs = defaultSearchMs,
): Promise<Page<Job>> {
  const query = listStatement(tenantId, filter);
  if (query === null) return { items: [], nextCursor: null };
  const rows =
    filter.text === undefined
      ? await database.$queryRaw<JobRow[]>(query)
      : await search(database, query, searchMs);
  const items = rows.slice(0, filter.limit).map(jobFromRow);
  const last = rows.length > filter.limit ? items.at(-1) : undefined;
  return { items, nextCursor: last === undefined ? null : encodeCursor(last.id) };
}

/** `null` = no job can match. */
export function listStatement(tenantId: string, filter: JobFilter): Prisma.Sql | null {
  const conditions = conditionsOf(tenantId, filter);
  if (conditions === null) return null;
  return Prisma.sql`
    SELECT ${jobColumns} FROM jobs job
    WHERE ${Prisma.join(conditions, " AND ")}
    ORDER BY job.tenant_id DESC, job.id DESC LIMIT ${filter.limit + 1}`;
}

/** How long a search may take. A longer one would hold a connection that submissions and workers need. */
const defaultSearchMs = 3_000;

async function search(database: PrismaClient, query: Prisma.Sql, searchMs: number): Promise<JobRow[]> {
  try {
    return await withMappedErrors(() =>
      database.$transaction(async (transaction) => {
        await transaction.$executeRaw`SELECT set_config('statement_timeout', ${String(searchMs)}, true)`;
        return await transaction.$queryRaw<JobRow[]>(query);
      }),
    );
  } catch (error) {
    if (!(error instanceof StoreUnavailableError) || error.fault !== "timeout") throw error;
    const message =
      "The search takes too long: give a longer or rarer text, or a status, project, scene, shot or tag besides.";
    throw new InvalidJobError([{ path: "text", code: "search-too-broad", message }]);
  }
}

/** `null` = no job can match. Some conditions repeat what others imply, so that PostgreSQL can use a partial index. */
export function conditionsOf(tenantId: string, filter: Omit<JobFilter, "limit">): Prisma.Sql[] | null {
  const {
    statuses,
    types,
    batchId,
    project,
    scene,
    shot,
    tag,
    template,
    templateVersion,
    text,
    mark,
    cursor,
  } = filter;
  if ([project, scene, shot, tag, template, text].some((value) => value !== undefined && !isStorable(value)))
    return null;
  const conditions = [isOfTenant(tenantId, filter)];
  if (cursor !== undefined) conditions.push(Prisma.sql`job.id < ${decodeCursor(cursor)}::uuid`);
  if (batchId !== undefined) {
    if (!isUuid(batchId)) return null;
    conditions.push(Prisma.sql`job.batch_id = ${batchId}::uuid`);
  }
  if (statuses !== undefined) {
    conditions.push(Prisma.sql`job.status = ANY(${statuses}::text[]::job_status[])`);
    if (statuses.every(isTerminal)) conditions.push(Prisma.sql`job.finished_at IS NOT NULL`);
    if (!statuses.some(isTerminal)) conditions.push(Prisma.sql`job.finished_at IS NULL`);
    if (statuses.every((status) => status === "processing"))
      conditions.push(Prisma.sql`job.status = 'processing'`);
  }
  if (types !== undefined) conditions.push(Prisma.sql`job.type = ANY(${types}::text[]::job_type[])`);
  if (project !== undefined) conditions.push(Prisma.sql`job.project = ${project}`);
  if (scene !== undefined) conditions.push(Prisma.sql`job.scene = ${scene}`);
  if (shot !== undefined) conditions.push(Prisma.sql`job.shot = ${shot}`);
  if (tag !== undefined) conditions.push(Prisma.sql`job.tags @> ARRAY[${tag}]::text[] AND job.tags <> '{}'`);
  if (template !== undefined) conditions.push(Prisma.sql`job.template_name = ${template}`);
  if (templateVersion !== undefined)
    conditions.push(Prisma.sql`job.template_version = ${templateVersion}::int`);
  if (mark === "none") {
    conditions.push(Prisma.sql`NOT EXISTS (SELECT FROM job_marks marked WHERE marked.job_id = job.id)`);
  } else if (mark !== undefined) {
    conditions.push(Prisma.sql`job.id IN (
      SELECT marked.job_id FROM job_marks marked WHERE marked.tenant_id = ${tenantId}::uuid AND marked.mark = ${mark})`);
  }
  if (text !== undefined) {
    conditions.push(Prisma.sql`EXISTS (
      SELECT FROM job_parameters asked WHERE asked.job_id = job.id AND asked.prompt_text ILIKE ${containing(text)})`);
  }
  return conditions;
}

/**
 * Without a filter that has an index of its own, the condition is a range of the index of the tenant's jobs. With an equal
 * tenant PostgreSQL may walk all jobs by their ids instead, and read the flood of another tenant.
 */
function isOfTenant(tenantId: string, filter: Omit<JobFilter, "limit">): Prisma.Sql {
  const { statuses, batchId, project, scene, shot, tag, template, text } = filter;
  const isMarked = filter.mark !== undefined && filter.mark !== "none";
  const areEnded = statuses?.every(isTerminal) ?? false;
  if (
    areEnded ||
    isMarked ||
    [batchId, project, scene, shot, tag, template, text].some((value) => value !== undefined)
  )
    return Prisma.sql`job.tenant_id = ${tenantId}::uuid`;
  return Prisma.sql`(job.tenant_id, job.id) BETWEEN (${tenantId}::uuid, ${nilId}::uuid) AND (${tenantId}::uuid, ${maxId}::uuid)`;
}

/** A LIKE pattern that matches the text literally, anywhere. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`;
}
