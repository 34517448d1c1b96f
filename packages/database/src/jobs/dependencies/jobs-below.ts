import { type JobPriority, type JobStatus } from "@genga/jobs";
import { Prisma } from "../../generated/client.ts";
import { dependencyFailed } from "./pass-on-ends.ts";

/** An ended job that may be queued again. */
export interface Retryable {
  id: string;
  priority: JobPriority;
  lane: string;
  status: JobStatus;
  hasExtraData: boolean;
}

/** A dependency that is not met. */
interface Unmet {
  jobId: string;
  needsId: string;
  status: JobStatus | "removed";
}

/** Jobs to retry, what failed because of them, and what all these wait for. */
export interface JobsBelow {
  asked: Retryable[];
  /** Jobs that failed because of a dependency, below the asked ones. */
  below: Retryable[];
  unmet: Unmet[];
}

/** Reads the jobs that a retry of `askedIds` may queue again. */
export async function readJobsBelow(
  database: Prisma.TransactionClient,
  askedIds: readonly string[],
): Promise<JobsBelow> {
  const columns = Prisma.sql`job.id, job.priority, job.lane, job.status, job.has_extra_data AS "hasExtraData"`;
  const asked = await database.$queryRaw<Retryable[]>`
    SELECT ${columns} FROM jobs job WHERE job.id = ANY(${askedIds}::uuid[]) ORDER BY job.id`;
  const below = await database.$queryRaw<Retryable[]>`
    WITH RECURSIVE below(job_id) AS (
      SELECT edge.job_id FROM job_dependencies edge JOIN jobs dependent ON dependent.id = edge.job_id
      WHERE edge.needs_id = ANY(${askedIds}::uuid[]) AND edge.met_at IS NULL AND ${isBelow}
      UNION
      SELECT edge.job_id FROM below
      JOIN job_dependencies edge ON edge.needs_id = below.job_id AND edge.met_at IS NULL
      JOIN jobs dependent ON dependent.id = edge.job_id
      WHERE ${isBelow}
    )
    SELECT ${columns} FROM jobs job WHERE job.id IN (SELECT job_id FROM below) AND job.id <> ALL (${askedIds}::uuid[])
    ORDER BY job.id`;
  const ids = [...asked, ...below].map(({ id }) => id);
  const unmet = await database.$queryRaw<Unmet[]>`
    SELECT edge.job_id AS "jobId", edge.needs_id AS "needsId", coalesce(need.status::text, 'removed') AS status
    FROM job_dependencies edge LEFT JOIN jobs need ON need.id = edge.needs_id
    WHERE edge.job_id = ANY(${ids}::uuid[]) AND edge.met_at IS NULL
    ORDER BY edge.job_id, edge.needs_id`;
  return { asked, below, unmet };
}

const isBelow = Prisma.sql`dependent.status = 'failed' AND dependent.failure_code = ${dependencyFailed}`;

/** All rows that decide over the retry: they are locked together. */
export function rowsOf({ asked, below, unmet }: JobsBelow): string[] {
  return [...new Set([...[...asked, ...below].map(({ id }) => id), ...unmet.map(({ needsId }) => needsId)])];
}

const unsuccessful: ReadonlySet<string> = new Set(["failed", "timeout", "cancelled", "removed"]);

/**
 * Which of the jobs can be queued again: those for which every job that they need has not ended without success, or is
 * queued again with them.
 * @param mayRestart of the asked jobs and those below, judged for itself
 */
export function restartable(
  { asked, below, unmet }: JobsBelow,
  mayRestart: (job: Retryable) => boolean,
): { ids: Set<string>; blockedBy: Map<string, Unmet> } {
  const ids = new Set([...asked, ...below].filter(mayRestart).map(({ id }) => id));
  const blockedBy = new Map<string, Unmet>();
  for (let size = -1; size !== ids.size;) {
    size = ids.size;
    for (const edge of unmet) {
      if (!ids.has(edge.jobId) || ids.has(edge.needsId) || !unsuccessful.has(edge.status)) continue;
      ids.delete(edge.jobId);
      blockedBy.set(edge.jobId, edge);
    }
  }
  return { ids, blockedBy };
}
