import { InvalidJobError, isTerminal, type JobProblem, type JobStatus, type NewJob } from "@genga/jobs";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma } from "../../generated/client.ts";
import { type Statements } from "../../connection/plain-statements.ts";
import { recordFiles } from "./record-files.ts";

/** A job to be inserted, and the jobs that it needs. */
export interface Dependent {
  job: Pick<NewJob, "id" | "dependsOn" | "inputs">;
  batchIndex: number | null;
}

/** Rows of one statement. */
const rowsAtOnce = 5_000;
/** The most problems in a refusal. */
const problemsMax = 100;

/**
 * Inserts the dependencies of jobs whose rows this transaction has inserted, each with the count of all jobs that it
 * needs. Of those of them that exist already, completed ones are counted off. Their rows stay locked until the
 * transaction ends, so this comes late: leases of running ones cannot be renewed meanwhile.
 * @returns the ids of the jobs that depend on nothing open now
 * @throws InvalidJobError naming each job that depends on one which the tenant does not have, or which has ended
 */
export async function insertDependencies(
  transaction: Statements,
  tenantId: string,
  inserted: readonly Dependent[],
): Promise<Set<string>> {
  const edges = inserted.flatMap(({ job: { id, dependsOn = [] } }) =>
    dependsOn.map((needsId) => ({ id, needsId })),
  );
  for (let start = 0; start < edges.length; start += rowsAtOnce) {
    const part = edges.slice(start, start + rowsAtOnce);
    await transaction.$executeRaw`
      INSERT INTO job_dependencies (job_id, needs_id)
      SELECT * FROM unnest(${part.map(({ id }) => id)}::uuid[], ${part.map(({ needsId }) => needsId)}::uuid[])`;
  }
  await insertInputs(transaction, inserted);
  await copyFiles(transaction, tenantId, inserted);
  const found = await findNeeded(transaction, tenantId, inserted, Prisma.sql`ORDER BY id FOR NO KEY UPDATE`);
  if (found.length === 0) return new Set();
  const open = found.flatMap(({ id, status }) => (status === "completed" ? [] : id));
  await transaction.$executeRaw`
    UPDATE jobs SET has_dependents = true WHERE id = ANY(${open}::uuid[]) AND NOT has_dependents`;
  return await countOff(
    transaction,
    found.flatMap(({ id, status }) => (status === "completed" ? id : [])),
    inserted.map(({ job }) => job.id),
  );
}

/**
 * Refuses jobs that cannot depend on what they name, as `insertDependencies` does, without a lock.
 * @throws InvalidJobError
 */
export async function assertNeededJobs(
  statements: Statements,
  tenantId: string,
  dependents: readonly Dependent[],
): Promise<void> {
  await findNeeded(statements, tenantId, dependents, Prisma.empty);
}

/** Finds those of the needed jobs that exist already. @throws InvalidJobError */
async function findNeeded(
  statements: Statements,
  tenantId: string,
  dependents: readonly Dependent[],
  lock: Prisma.Sql,
): Promise<{ id: string; status: JobStatus }[]> {
  const own = new Set(dependents.map(({ job }) => job.id));
  const needed = new Set(dependents.flatMap(({ job }) => job.dependsOn ?? []));
  const existing = [...needed].filter((id) => !own.has(id));
  if (existing.length === 0) return [];
  const found = await statements.$queryRaw<{ id: string; status: JobStatus }[]>`
    SELECT id, status FROM jobs WHERE id = ANY(${existing}::uuid[]) AND tenant_id = ${tenantId}::uuid ${lock}`;
  assertNeedable(dependents, own, new Map(found.map(({ id, status }) => [id, status])));
  return found;
}

async function insertInputs(transaction: Statements, inserted: readonly Dependent[]): Promise<void> {
  const rows = inserted.flatMap(({ job: { id, inputs = [] } }) => inputs.map((input) => ({ id, ...input })));
  for (let start = 0; start < rows.length; start += rowsAtOnce) {
    await transaction.$executeRaw`
      INSERT INTO job_inputs (job_id, name, needs_id, output_index, kind)
      SELECT id, name, "from", output, kind
      FROM jsonb_to_recordset(${toStoredJson(rows.slice(start, start + rowsAtOnce))}::jsonb)
        AS new(id uuid, name text, "from" uuid, output int, kind text)`;
  }
}

/**
 * Reruns read the files of removed jobs that the first job has read. Its row stays locked until the transaction ends, so that
 * it is not removed meanwhile: what removes it later finds that the files have another reader.
 * @throws InvalidJobError the first job was removed, and the files may be gone
 */
async function copyFiles(
  transaction: Statements,
  tenantId: string,
  inserted: readonly Dependent[],
): Promise<void> {
  for (const { job } of inserted) {
    const [input] = (job.inputs ?? []).filter(({ copiedFrom }) => copiedFrom !== undefined);
    if (input?.copiedFrom === undefined) continue;
    await transaction.$queryRaw`
      SELECT FROM jobs WHERE id = ${input.copiedFrom}::uuid AND tenant_id = ${tenantId}::uuid FOR KEY SHARE`;
    const names = (job.inputs ?? []).flatMap(({ copiedFrom, name }) =>
      copiedFrom === undefined ? [] : name,
    );
    const copied = await transaction.$queryRaw<unknown[]>`
      UPDATE job_inputs input SET storage_key = read.storage_key, sha256 = read.sha256, media_type = read.media_type,
        filename = read.filename, bytes = read.bytes, is_source_removed = true
      FROM job_inputs read JOIN jobs first ON first.id = read.job_id
      WHERE input.job_id = ${job.id}::uuid AND input.name = ANY(${names}::text[])
        AND first.id = ${input.copiedFrom}::uuid AND first.tenant_id = ${tenantId}::uuid
        AND read.needs_id = input.needs_id AND read.output_index = input.output_index AND read.storage_key IS NOT NULL
      RETURNING input.name`;
    if (copied.length < names.length) throw new InvalidJobError([unknownJob("workflow", input.from)]);
  }
}

async function countOff(
  transaction: Statements,
  completed: string[],
  inserted: string[],
): Promise<Set<string>> {
  if (completed.length === 0) return new Set();
  await recordFiles(transaction, completed, inserted);
  const ready = await transaction.$queryRaw<{ id: string }[]>`
    WITH met AS (
      UPDATE job_dependencies SET met_at = now()
      WHERE needs_id = ANY(${completed}::uuid[]) AND job_id = ANY(${inserted}::uuid[])
      RETURNING job_id
    ), job AS (
      UPDATE jobs SET open_dependencies = open_dependencies - met_of.count
      FROM (SELECT job_id, count(*)::int AS count FROM met GROUP BY job_id) met_of
      WHERE jobs.id = met_of.job_id
      RETURNING jobs.id, jobs.open_dependencies
    )
    SELECT id FROM job WHERE open_dependencies = 0`;
  return new Set(ready.map(({ id }) => id));
}

function assertNeedable(
  inserted: readonly Dependent[],
  own: ReadonlySet<string>,
  statusOf: ReadonlyMap<string, JobStatus>,
): void {
  const problems: JobProblem[] = [];
  for (const { batchIndex, job } of inserted) {
    const path = batchIndex === null ? "dependsOn" : `jobs.${batchIndex}.dependsOn`;
    for (const id of job.dependsOn ?? []) {
      const status = statusOf.get(id);
      if (own.has(id) || status === "completed") continue;
      if (status === undefined) problems.push(unknownJob(path, id));
      else if (isTerminal(status)) problems.push(endedJob(path, id, status));
    }
    if (problems.length >= problemsMax) break;
  }
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
}

function unknownJob(path: string, id: string): JobProblem {
  return { path, code: "unknown-job", message: `${path}: there is no job ${id}.`, received: id };
}

function endedJob(path: string, id: string, status: JobStatus): JobProblem {
  const message = `${path}: job ${id} is ${status}; retry it first, or do not depend on it.`;
  return { path, code: "dependency-ended", message, received: id };
}
