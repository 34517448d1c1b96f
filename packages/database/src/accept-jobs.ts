import { InvalidJobError, type Job, type JobPriority, type NewBatch, type NewJob } from "@genga/jobs";
import { setImmediate as breathe } from "node:timers/promises";
import { type PrismaClient } from "./generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "./job-rows.ts";
import { promptText } from "./prompt-text.ts";
import { reserveRanks } from "./rank-reservation.ts";
import { isStorable, toStoredJson } from "./stored-json.ts";
import { hashWorkflow } from "./workflow-hash.ts";

/** Jobs to prepare before other work of the process gets its turn: hashing ten thousand graphs takes a while. */
const preparedAtOnce = 200;

/**
 * Inserts all jobs in one statement, so all or none: batch, graphs, rows, parameters, first events.
 *
 * Graphs are stored once by content. They are inserted in the order of their hashes: two submissions of the same graphs
 * then wait for each other at the first one, and never in a circle.
 * @throws InvalidJobError for texts that PostgreSQL cannot hold
 */
export async function insertJobs(
  database: PrismaClient,
  submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] },
): Promise<Job[]> {
  const { tenantId, batch, jobs } = submission;
  if (jobs.length === 0) return [];
  const { rows, workflows } = await prepare(jobs, batch);
  const takeRank = await reserveRanks(database, tenantId, countByPriority(jobs));
  const ranked = rows.map((row) => ({ ...row, rank: takeRank(row.priority) }));
  const inserted = await database.$queryRaw<JobRow[]>`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(ranked)}::jsonb) AS new(
        id uuid, "batchIndex" int, type job_type, priority job_priority, lane text, rank int, project text, tags text[],
        "attemptsMax" int, "timeoutMs" int, "expiresAt" timestamptz, parameters jsonb, "promptText" text, "workflowHash" text)
    ), batch AS (
      INSERT INTO batches (id, tenant_id, name, total)
      SELECT ${batch?.id ?? null}::uuid, ${tenantId}::uuid, ${batch?.name ?? null}::text, ${jobs.length}::int
      WHERE ${batch !== null}::boolean
    ), graph AS (
      INSERT INTO workflows (hash, graph)
      SELECT hash, graph::jsonb FROM unnest(${[...workflows.keys()]}::text[], ${[...workflows.values()]}::text[]) AS new(hash, graph)
      ORDER BY hash
      ON CONFLICT (hash) DO NOTHING
    ), job AS (
      INSERT INTO jobs (id, tenant_id, batch_id, batch_index, type, priority, lane, rank, project, tags, attempts_max, timeout_ms,
        expires_at)
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
  return inGivenOrder(inserted.map(jobFromRow), jobs);
}

async function prepare(jobs: NewJob[], batch: NewBatch | null) {
  const workflows = new Map<string, string>();
  const rows = [];
  for (const [index, job] of jobs.entries()) {
    if (index % preparedAtOnce === preparedAtOnce - 1) await breathe();
    assertStorable(job);
    const { workflow, ...rest } = job;
    const workflowHash = hashWorkflow(workflow);
    if (!workflows.has(workflowHash)) workflows.set(workflowHash, JSON.stringify(workflow));
    const batchIndex = batch === null ? null : (job.batchIndex ?? index);
    rows.push({ ...rest, batchIndex, promptText: promptText(job), workflowHash });
  }
  return { rows, workflows };
}

function assertStorable(job: NewJob): void {
  const { parameters, workflow, project, tags } = job;
  for (const [path, value] of Object.entries({ parameters, workflow, project, tags })) {
    if (isStorable(value)) continue;
    const message = `${path} holds a character that cannot be stored: NUL, or half of a surrogate pair.`;
    throw new InvalidJobError([{ path, code: "unstorable-character", message }]);
  }
}

function countByPriority(jobs: NewJob[]): Map<JobPriority, number> {
  const counts = new Map<JobPriority, number>();
  for (const { priority } of jobs) counts.set(priority, (counts.get(priority) ?? 0) + 1);
  return counts;
}

function inGivenOrder(inserted: Job[], given: NewJob[]): Job[] {
  const byId = new Map(inserted.map((job) => [job.id, job]));
  return given.map(({ id }) => {
    const job = byId.get(id);
    if (job === undefined) throw new Error(`Job ${id} was inserted and did not come back.`);
    return job;
  });
}
