import {
  InvalidJobError,
  isTerminal,
  jobStatuses,
  StoreUnavailableError,
  shownPrompt,
  type Batch,
  type Job,
  type JobEvent,
  type JobFilter,
  type JobOutput,
  type JobParameters,
  type JobPrompt,
  type JobStatus,
  type JobType,
  type Page,
  type QueueSummary,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { countedEnds } from "../../keeping/fold-counts.ts";
import { decodeCursor, encodeCursor } from "./job-cursor.ts";
import {
  eventColumns,
  eventFromRow,
  graphText,
  jobColumns,
  jobFromRow,
  outputFromRow,
  type EventRow,
  type JobRow,
} from "../job-rows.ts";
import { isStorable } from "../../connection/stored-json.ts";

/** An id that is no UUID names nothing; the same holds for every function here. */
export async function findJob(database: PrismaClient, id: string): Promise<Job | "removed" | null> {
  if (!isUuid(id)) return null;
  const row = await database.job.findUnique({ where: { id } });
  if (row !== null) return jobFromRow(row);
  return (await database.removedJob.findUnique({ where: { id } })) === null ? null : "removed";
}

export async function findJobs(database: PrismaClient, ids: string[]): Promise<Job[]> {
  const rows = await database.$queryRaw<JobRow[]>`
    SELECT ${jobColumns} FROM unnest(${ids.filter((id) => isUuid(id))}::uuid[]) WITH ORDINALITY AS asked(id, place)
    JOIN jobs job ON job.id = asked.id
    ORDER BY asked.place`;
  return rows.map(jobFromRow);
}

export async function findParameters(database: PrismaClient, id: string): Promise<JobParameters | null> {
  if (!isUuid(id)) return null;
  const [row] = await database.$queryRaw<JobParameters[]>`
    SELECT asked.parameters, ${graphText} AS workflow
    FROM job_parameters asked JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE asked.job_id = ${id}::uuid`;
  return row ?? null;
}

export async function findPrompts(database: PrismaClient, ids: string[]): Promise<Map<string, JobPrompt>> {
  const rows = await database.$queryRaw<
    { id: string; type: JobType; promptText: string; negativePrompt: string | null }[]
  >`
    SELECT job.id, job.type, asked.prompt_text AS "promptText", asked.parameters->>'negativePrompt' AS "negativePrompt"
    FROM job_parameters asked JOIN jobs job ON job.id = asked.job_id
    WHERE asked.job_id = ANY(${ids.filter((id) => isUuid(id))}::uuid[])`;
  return new Map(rows.map((row) => [row.id, shownPrompt(row)]));
}

/**
 * Newest first: ids carry their time.
 * @throws InvalidJobError for a cursor that no page was answered with, and for a text that takes too long to be found
 */
export async function listJobs(
  database: PrismaClient,
  filter: JobFilter,
  searchMs = defaultSearchMs,
): Promise<Page<Job>> {
  const conditions = conditionsOf(filter);
  if (conditions === null) return { items: [], nextCursor: null };
  const query = Prisma.sql`
    SELECT ${jobColumns} FROM jobs job
    WHERE ${Prisma.join(conditions, " AND ")}
    ORDER BY job.id DESC LIMIT ${filter.limit + 1}`;
  const rows =
    filter.text === undefined
      ? await database.$queryRaw<JobRow[]>(query)
      : await search(database, query, searchMs);
  const items = rows.slice(0, filter.limit).map(jobFromRow);
  const last = rows.length > filter.limit ? items.at(-1) : undefined;
  return { items, nextCursor: last === undefined ? null : encodeCursor(last.id) };
}

/** A search may take so long; it must not keep a connection from those who submit and run jobs. */
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
      "The search takes too long: give a longer or rarer text, or a status, project or tag besides.";
    throw new InvalidJobError([{ path: "text", code: "search-too-broad", message }]);
  }
}

/** `null` = nothing can match. Some conditions only say what others imply, so that a partial index can be used. */
function conditionsOf(filter: JobFilter): Prisma.Sql[] | null {
  const { tenantId, statuses, types, batchId, project, tag, text, cursor } = filter;
  if ([project, tag, text].some((value) => value !== undefined && !isStorable(value))) return null;
  const conditions: Prisma.Sql[] = [Prisma.sql`true`];
  if (cursor !== undefined) conditions.push(Prisma.sql`job.id < ${decodeCursor(cursor)}::uuid`);
  if (tenantId !== undefined) {
    if (!isUuid(tenantId)) return null;
    conditions.push(Prisma.sql`job.tenant_id = ${tenantId}::uuid`);
  }
  if (batchId !== undefined) {
    if (!isUuid(batchId)) return null;
    conditions.push(Prisma.sql`job.batch_id = ${batchId}::uuid`);
  }
  if (statuses !== undefined) {
    conditions.push(Prisma.sql`job.status = ANY(${statuses}::text[]::job_status[])`);
    if (statuses.every(isTerminal)) conditions.push(Prisma.sql`job.finished_at IS NOT NULL`);
  }
  if (types !== undefined) conditions.push(Prisma.sql`job.type = ANY(${types}::text[]::job_type[])`);
  if (project !== undefined) conditions.push(Prisma.sql`job.project = ${project}`);
  if (tag !== undefined) conditions.push(Prisma.sql`job.tags @> ARRAY[${tag}]::text[] AND job.tags <> '{}'`);
  if (text !== undefined) {
    conditions.push(Prisma.sql`EXISTS (
      SELECT FROM job_parameters asked WHERE asked.job_id = job.id AND asked.prompt_text ILIKE ${containing(text)})`);
  }
  return conditions;
}

/** A LIKE pattern that means the text itself, wherever it stands. */
function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`;
}

export async function findBatch(database: PrismaClient, id: string): Promise<Batch | null> {
  if (!isUuid(id)) return null;
  const batch = await database.batch.findUnique({ where: { id } });
  if (batch === null) return null;
  const counted = await database.$queryRaw<{ status: JobStatus; count: bigint }[]>`
    SELECT status, count(*) FROM jobs WHERE batch_id = ${id}::uuid AND finished_at IS NULL GROUP BY status
    UNION ALL
    SELECT status, jobs FROM batch_job_counts WHERE batch_id = ${id}::uuid
    UNION ALL
    SELECT status, sum(jobs)::bigint FROM ended_job_changes WHERE batch_id = ${id}::uuid GROUP BY status`;
  return { ...batch, counts: countsOf(counted) };
}

export async function listEvents(
  database: PrismaClient,
  jobId: string,
  afterSequence: number,
  limit: number,
): Promise<JobEvent[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.$queryRaw<EventRow[]>`
    SELECT ${eventColumns} FROM job_events event
    WHERE event.job_id = ${jobId}::uuid AND event.sequence > ${afterSequence}
    ORDER BY event.sequence LIMIT ${limit}`;
  return rows.map(eventFromRow);
}

export async function listOutputs(database: PrismaClient, jobId: string): Promise<JobOutput[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.jobOutput.findMany({ where: { jobId }, orderBy: { index: "asc" } });
  return rows.map(outputFromRow);
}

export async function findOutput(database: PrismaClient, id: string): Promise<JobOutput | null> {
  if (!isUuid(id)) return null;
  const row = await database.jobOutput.findUnique({ where: { id } });
  return row === null ? null : outputFromRow(row);
}

/** What waits and runs has an index of its own and is little; what has ended was counted as it did. */
export async function summarizeQueue(database: PrismaClient, tenantId?: string): Promise<QueueSummary> {
  if (tenantId !== undefined && !isUuid(tenantId))
    return { counts: countsOf([]), lanes: [], oldestQueuedAt: null };
  const ofTenant = tenantId === undefined ? Prisma.sql`true` : Prisma.sql`tenant_id = ${tenantId}::uuid`;
  const rows = await database.$queryRaw<
    { status: JobStatus; lane: string | null; count: bigint; oldest: Date | null }[]
  >`
    SELECT status, lane, count(*), min(created_at) AS oldest FROM jobs
    WHERE status = 'queued' AND ${ofTenant} GROUP BY status, lane
    UNION ALL
    SELECT status, lane, count(*), NULL FROM jobs
    WHERE status = 'processing' AND ${ofTenant} GROUP BY status, lane
    UNION ALL
    SELECT status, NULL, sum(jobs)::bigint, NULL FROM ${countedEnds} AS ended WHERE ${ofTenant} GROUP BY status`;
  const lanes = new Map<string, { lane: string; queued: number; processing: number }>();
  let oldestQueuedAt: Date | null = null;
  for (const { status, lane, count, oldest } of rows) {
    if (lane === null || isTerminal(status)) continue;
    const entry = lanes.get(lane) ?? { lane, queued: 0, processing: 0 };
    lanes.set(lane, { ...entry, [status]: Number(count) });
    if (oldest !== null && (oldestQueuedAt === null || oldest < oldestQueuedAt)) oldestQueuedAt = oldest;
  }
  const sorted = [...lanes.values()].sort((a, b) => (a.lane < b.lane ? -1 : 1));
  return { counts: countsOf(rows), lanes: sorted, oldestQueuedAt };
}

/** Every status has a count; a status may come in several parts. */
function countsOf(parts: { status: JobStatus; count: bigint | number }[]): Record<JobStatus, number> {
  const counts = Object.fromEntries(jobStatuses.map((status) => [status, 0])) as Record<JobStatus, number>;
  for (const { status, count } of parts) counts[status] += Number(count);
  return counts;
}

export async function countJobsBefore(
  database: PrismaClient,
  job: Job,
): Promise<{ own: number; others: number }> {
  if (job.status !== "queued") return { own: 0, others: 0 };
  const [row] = await database.$queryRaw<{ all: bigint; own: bigint }[]>`
    SELECT count(*) AS "all", count(*) FILTER (WHERE tenant_id = ${job.tenantId}::uuid) AS own FROM jobs
    WHERE status = 'queued' AND lane = ${job.lane} AND (priority, rank) < (${job.priority}::job_priority, ${job.rank}::int)`;
  const own = Number(row?.own ?? 0);
  return { own, others: Number(row?.all ?? 0) - own };
}

export async function ownerOfRemoved(database: PrismaClient, id: string): Promise<string | null> {
  if (!isUuid(id)) return null;
  const removed = await database.removedJob.findUnique({ where: { id }, select: { tenantId: true } });
  return removed?.tenantId ?? null;
}
