import { type JobOutput, type MadeJob, type OutputFilter } from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { makerOf } from "../accepting/reuse-jobs.ts";
import { graphText } from "../job-rows.ts";
import { conditionsOf } from "./list-jobs.ts";
import { partsByBytes, type StoredJob } from "./parts-by-bytes.ts";

/** Jobs whose ids one statement reads. */
const jobsAtOnce = 100;

/** Counting stops beyond `max`. */
export async function countOutputs(
  database: PrismaClient,
  tenantId: string,
  filter: OutputFilter,
  max: number,
): Promise<number> {
  const conditions = conditionsOfMade(tenantId, filter);
  if (conditions === null) return 0;
  const [row] = await database.$queryRaw<[{ count: bigint }]>`
    SELECT count(*) FROM (
      SELECT FROM jobs job JOIN outputs output ON output.job_id = job.id
      WHERE ${Prisma.join(conditions, " AND ")} LIMIT ${max + 1}) counted`;
  return Number(row.count);
}

/**
 * Reads the jobs that have outputs by pages, each of which begins where the last one ended. A job that is removed
 * meanwhile, and was not read yet, is left out.
 */
export async function* readMadeJobs(
  database: PrismaClient,
  tenantId: string,
  filter: OutputFilter,
): AsyncGenerator<MadeJob> {
  const conditions = conditionsOfMade(tenantId, filter);
  if (conditions === null) return;
  const order = filter.batchId === undefined ? byId : byPlace;
  let last: Place | undefined;
  do {
    const after = last;
    const places = await withMappedErrors(() =>
      database.$queryRaw<Place[]>(placesStatement(conditions, order, after)),
    );
    for (const part of partsByBytes(places))
      yield* await withMappedErrors(() =>
        findMade(
          database,
          part.map(({ id }) => id),
        ),
      );
    last = places.length === jobsAtOnce ? places.at(-1) : undefined;
  } while (last !== undefined);
}

interface Place extends StoredJob {
  batchIndex: number | null;
}

/** The order of the jobs, for which there is an index, and what comes after a place in it. */
interface Order {
  columns: Prisma.Sql;
  after: (place: Place) => Prisma.Sql;
}

const byId: Order = {
  columns: Prisma.sql`job.tenant_id, job.id`,
  after: ({ id }) => Prisma.sql`job.id > ${id}::uuid`,
};
const byPlace: Order = {
  columns: Prisma.sql`job.batch_id, job.batch_index`,
  after: ({ batchIndex }) => Prisma.sql`job.batch_index > ${batchIndex}::int`,
};

function placesStatement(conditions: Prisma.Sql[], order: Order, after: Place | undefined): Prisma.Sql {
  const all = after === undefined ? conditions : [...conditions, order.after(after)];
  return Prisma.sql`
    SELECT job.id, job.batch_index AS "batchIndex", pg_column_size(asked.parameters)
      + coalesce(pg_column_size(workflows.graph_text), pg_column_size(workflows.graph)) AS "storedBytes"
    FROM (
      SELECT job.tenant_id, job.id, job.batch_id, job.batch_index FROM jobs job
      WHERE ${Prisma.join(all, " AND ")} ORDER BY ${order.columns} LIMIT ${jobsAtOnce}
    ) job JOIN job_parameters asked ON asked.job_id = job.id JOIN workflows ON workflows.hash = asked.workflow_hash
    ORDER BY ${order.columns}`;
}

function conditionsOfMade(tenantId: string, filter: OutputFilter): Prisma.Sql[] | null {
  if (filter.statuses?.includes("completed") === false) return null;
  return conditionsOf(tenantId, { ...filter, statuses: ["completed"] });
}

type MadeRow = Omit<MadeJob, "outputs">;

async function findMade(database: PrismaClient, ids: string[]): Promise<MadeJob[]> {
  const [rows, outputs] = await Promise.all([
    database.$queryRaw<MadeRow[]>`
      SELECT job.id, job.type, job.batch_id AS "batchId", batches.name AS "batchName", job.batch_index AS "batchIndex",
        job.project, job.scene, job.shot, job.tags, maker.attempt, job.reused_from AS "reusedFrom", attempt.server_id AS "serverId",
        attempt.server_version AS "serverVersion", asked.workflow_hash AS "workflowHash", ${graphText} AS workflow,
        (CASE WHEN job.type = 'workflow' AND jsonb_typeof(asked.parameters) = 'object' THEN asked.parameters - 'workflow'
          ELSE asked.parameters END)::text AS parameters, asked.prompt_text AS "promptText",
        coalesce((
          SELECT jsonb_agg(jsonb_build_object('name', input.name, 'from', input.needs_id, 'output', input.output_index,
            'sha256', input.sha256) ORDER BY input.name)
          FROM job_inputs input WHERE input.job_id = job.id AND job.reused_from IS NULL), '[]') AS inputs,
        job.created_at AS "createdAt", job.finished_at AS "finishedAt"
      FROM unnest(${ids}::uuid[]) WITH ORDINALITY AS asked_for(id, place)
      JOIN jobs job ON job.id = asked_for.id
      JOIN job_parameters asked ON asked.job_id = job.id
      JOIN workflows ON workflows.hash = asked.workflow_hash
      LEFT JOIN batches ON batches.id = job.batch_id
      LEFT JOIN jobs maker ON maker.id = ${makerOf("job")}
      LEFT JOIN job_attempts attempt ON attempt.job_id = maker.id AND attempt.number = maker.attempt
      ORDER BY asked_for.place`,
    database.jobOutput.findMany({
      where: { jobId: { in: ids } },
      omit: { text: true },
      orderBy: [{ jobId: "asc" }, { index: "asc" }],
    }),
  ]);
  const ofJobs = new Map<string, Omit<JobOutput, "text">[]>();
  for (const output of outputs) {
    const own = ofJobs.get(output.jobId) ?? [];
    own.push({ ...output, bytes: Number(output.bytes) });
    ofJobs.set(output.jobId, own);
  }
  return rows.flatMap((row) => {
    const own = ofJobs.get(row.id);
    return own === undefined ? [] : [{ ...row, outputs: own }];
  });
}
