import { type Job, type NewBatch, type NewJob } from "@genga/jobs";
import { Prisma, type PrismaClient } from "./generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "./job-rows.ts";
import { prepareJobs, type PreparedGraph, type PreparedJob } from "./prepare-jobs.ts";
import { reserveRanks } from "./rank-reservation.ts";
import { toStoredJson } from "./stored-json.ts";

/** Jobs, or graphs, in one statement: few enough that it ends well within its time on a busy machine. */
const rowsAtOnce = 500;

/** Thousands of jobs take several statements; each of them is limited as any other. */
const transactionLimits = { timeout: 60_000, maxWait: 5_000 };

interface RankedJob extends PreparedJob {
  rank: number;
}

interface Insert {
  tenantId: string;
  batch: (NewBatch & { total: number }) | null;
  /** Inserted with the first jobs of a submission. */
  isFirst: boolean;
  rows: RankedJob[];
  graphs: PreparedGraph[];
}

/**
 * Inserts all jobs, or none: batch, graphs, rows, parameters, first events. A few jobs are one statement.
 *
 * Graphs are stored once by content, always in the order of their hashes within one transaction: two submissions of the
 * same graphs then wait for each other at the first one, and never in a circle. Those of a large submission are stored
 * ahead; should it fail after that, they wait for the next one that uses them.
 * @throws InvalidJobError for texts that PostgreSQL cannot hold
 */
export async function insertJobs(
  database: PrismaClient,
  submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] },
): Promise<Job[]> {
  const { tenantId, jobs } = submission;
  if (jobs.length === 0) return [];
  const { rows, graphs, counts } = await prepareJobs(jobs, submission.batch);
  const takeRank = await reserveRanks(database, tenantId, counts);
  const ranked = rows.map((row) => ({ ...row, rank: takeRank(row.priority) }));
  const batch = submission.batch === null ? null : { ...submission.batch, total: jobs.length };
  if (jobs.length <= rowsAtOnce) {
    return await insertRows(database, { tenantId, batch, isFirst: true, rows: ranked, graphs });
  }
  for (const part of partsOf(graphs)) await database.$executeRaw`${graphInsert(part)}`;
  return await database.$transaction(async (transaction) => {
    const inserted: Job[] = [];
    for (const part of partsOf(ranked)) {
      const isFirst = inserted.length === 0;
      inserted.push(...(await insertRows(transaction, { tenantId, batch, isFirst, rows: part, graphs: [] })));
    }
    return inserted;
  }, transactionLimits);
}

async function insertRows(database: Prisma.TransactionClient, insert: Insert): Promise<Job[]> {
  const { tenantId, batch, rows } = insert;
  const inserted = await database.$queryRaw<JobRow[]>`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS new(
        id uuid, "batchIndex" int, type job_type, priority job_priority, lane text, rank int, project text, tags text[],
        "attemptsMax" int, "timeoutMs" int, "expiresAt" timestamptz, parameters jsonb, "promptText" text,
        "workflowHash" text)
    ), batch AS (
      INSERT INTO batches (id, tenant_id, name, total)
      SELECT ${batch?.id ?? null}::uuid, ${tenantId}::uuid, ${batch?.name ?? null}::text, ${batch?.total ?? null}::int
      WHERE ${batch !== null && insert.isFirst}::boolean
    ), graph AS (
      ${graphInsert(insert.graphs)}
    ), job AS (
      INSERT INTO jobs (id, tenant_id, batch_id, batch_index, type, priority, lane, rank, project, tags, attempts_max,
        timeout_ms, expires_at)
      SELECT id, ${tenantId}::uuid, ${batch?.id ?? null}::uuid, "batchIndex", type, priority, lane, rank, project, tags,
        "attemptsMax", "timeoutMs", "expiresAt"
      FROM given
      RETURNING *
    ), parameters AS (
      INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash)
      SELECT id, coalesce(parameters, 'null'), "promptText", "workflowHash" FROM given
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt)
      SELECT id, event_sequence, 'accepted', attempt FROM job
    )
    SELECT ${jobColumns} FROM job`;
  return inGivenOrder(inserted.map(jobFromRow), rows);
}

function graphInsert(graphs: PreparedGraph[]): Prisma.Sql {
  const [hashes, graphsAsJson] = [graphs.map(({ hash }) => hash), graphs.map(({ json }) => json)];
  const texts = graphs.map(({ text }) => text);
  return Prisma.sql`
    INSERT INTO workflows (hash, graph, graph_text)
    SELECT hash, graph::jsonb, text
    FROM unnest(${hashes}::text[], ${graphsAsJson}::text[], ${texts}::text[]) AS new(hash, graph, text)
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING`;
}

function* partsOf<Item>(items: Item[]): Generator<Item[]> {
  for (let start = 0; start < items.length; start += rowsAtOnce) yield items.slice(start, start + rowsAtOnce);
}

function inGivenOrder(inserted: Job[], given: { id: string }[]): Job[] {
  const byId = new Map(inserted.map((job) => [job.id, job]));
  return given.map(({ id }) => {
    const job = byId.get(id);
    if (job === undefined) throw new Error(`Job ${id} was inserted and did not come back.`);
    return job;
  });
}
