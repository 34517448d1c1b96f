import {
  defaultLane,
  InvalidJobError,
  labelsOf,
  PromptTakenError,
  StoreUnavailableError,
  type Job,
  type NewBatch,
  type NewSubmission,
} from "@genga/jobs";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { mapDatabaseError, violatedConstraint } from "../../connection/database-errors.ts";
import { type PlainStatements, type Statements } from "../../connection/plain-statements.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { insertDependencies } from "../dependencies/insert-dependencies.ts";
import { doorRows } from "./door-rows.ts";
import { fulfilClaim, type Fulfilment } from "./idempotency-keys.ts";
import { type LaneRows } from "../../lanes/use-lanes.ts";
import { prepareJobs, rowOf, webhookRow, type PreparedGraph, type PreparedJob } from "./prepare-jobs.ts";
import { recount, takeRoom, type QueueLimit } from "./queue-room.ts";
import {
  findSources,
  lockSources,
  makerOf,
  reusedRows,
  SourceGoneError,
  type Sources,
} from "./reuse-jobs.ts";
import { placePrompts } from "../ranks/place-prompts.ts";
import { reserveRanks } from "../ranks/reserve-ranks.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/**
 * How many jobs, or graphs, one statement inserts: few enough that it ends well within its timeout on a busy machine.
 */
const rowsAtOnce = 500;

interface RankedJob extends PreparedJob {
  rank: number;
  /** The completed job from which it is answered; it is then complete, too. */
  reusedFrom: string | null;
}

interface Insert {
  tenantId: string;
  batch: (NewBatch & { total: number }) | null;
  /** These jobs are the first of their submission, so the batch is inserted with them. */
  isFirst: boolean;
  ranked: RankedJob[];
  graphs: PreparedGraph[];
  /** Takes room in the tenant's queue for these rows; `null` = the transaction takes it in a statement of its own. */
  room: Prisma.Sql | null;
}

/** Rolls back a transaction that found no room for its jobs. */
class NoRoomError extends Error {}

/**
 * Inserts all jobs, or none: batch, graphs, rows, parameters and first events. A few jobs are one statement.
 *
 * Each graph is stored once, by content. A transaction locks its graphs in the order of their hashes. So two
 * submissions of the same graphs, or a submission and a removal, wait for each other at the first common graph and
 * never deadlock. The graphs of a large submission are stored before its jobs. If the submission then fails, its graphs
 * stay until another submission uses them or the keeper removes them.
 * Jobs that may be answered from a completed one are looked up before, and complete at once; they take neither ranks nor
 * room in the queue (docs/decisions/0017-reuse.md).
 * @throws InvalidJobError for texts that PostgreSQL cannot store
 * @throws PromptTakenError when another prompt has the place of one of them
 * @throws ClaimLostError when another request has the submission's key by now
 * @throws LimitReachedError when the tenant's queue has no room for all of the jobs
 */
export async function insertJobs(
  { database, statements }: { database: PrismaClient; statements: PlainStatements },
  submission: NewSubmission,
  limit: QueueLimit,
  lanes: LaneRows,
): Promise<Job[]> {
  const { tenantId, jobs } = submission;
  if (jobs.length === 0) return [];
  const preparation = await prepareJobs(jobs, submission.batch);
  const admitted = await beforeInsert(lanes.use(database, preparation.lanes));
  const admittedJobs = preparation.prepared.map((each) => {
    return { ...each, lane: admitted.has(each.lane) ? each.lane : defaultLane };
  });
  for (let tries = 1; ; tries += 1) {
    // Sources that vanish again and again are not looked for for ever.
    const sources =
      tries === triesMax
        ? new Map<string, string>()
        : await beforeInsert(findSources(database, tenantId, admittedJobs));
    const toRun = admittedJobs.filter(({ job }) => !sources.has(job.id));
    const takeRank = await beforeInsert(ranksOf(database, tenantId, toRun, limit));
    if (takeRank !== null) {
      const ranked = admittedJobs.map((each) => {
        const reusedFrom = sources.get(each.job.id) ?? null;
        return { ...each, rank: reusedFrom === null ? takeRank(each) : 0, reusedFrom };
      });
      const batch = submission.batch === null ? null : { ...submission.batch, total: jobs.length };
      const fulfilled = fulfilmentOf(submission);
      const inserted = await insertWithGraphs(
        statements,
        { tenantId, batch, ranked, graphs: preparation.graphs, fulfilled, sources },
        limit,
      );
      if (inserted === "source-gone") continue;
      if (inserted !== null) return inserted;
    }
    // The known count of queued jobs may be too high, so the jobs are counted before the submission is refused.
    await beforeInsert(recount(database, tenantId, toRun.length, limit));
    if (tries === triesMax) throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
  }
}

/** Jobs that do not run take no place in the queue. */
async function ranksOf(
  ...reservation: Parameters<typeof reserveRanks>
): Promise<((job: PreparedJob) => number) | null> {
  return reservation[2].length === 0 ? () => 0 : await reserveRanks(...reservation);
}

/** Runs a step before the insert. If it fails, none of the jobs is stored, whatever effect the step had. */
async function beforeInsert<Result>(step: Promise<Result>): Promise<Result> {
  try {
    return await step;
  } catch (error) {
    const mapped = mapDatabaseError(error);
    if (!(mapped instanceof StoreUnavailableError)) throw error;
    const { cause, fault } = mapped;
    throw new StoreUnavailableError(cause, { fault, wasRefused: true });
  }
}

/**
 * Another submission of the tenant may take the room that was just counted, and a removal may remove the graphs that
 * were just stored.
 */
const triesMax = 5;

async function insertWithGraphs(
  ...insert: Parameters<typeof insertAll>
): Promise<Job[] | null | "source-gone"> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await insertAll(...insert);
    } catch (error) {
      if (error instanceof SourceGoneError) return "source-gone";
      const constraint = violatedConstraint(error);
      if (constraint === "job_uploads_upload_id_fkey") throw uploadGone();
      if (constraint === "door_prompts_place_key") throw new PromptTakenError();
      // A removal took the last other job with one of the graphs, and thereby the graph, so the graph is stored again.
      if (constraint !== "job_parameters_workflow_hash_fkey" || tries === triesMax) throw error;
    }
  }
}

function uploadGone(): InvalidJobError {
  const message =
    "An upload that the job names was not used for too long and was removed; send the image again.";
  return new InvalidJobError([{ path: "parameters", code: "unknown-upload", message }]);
}

/** `null` = the tenant's queue has no room for the jobs. */
async function insertAll(
  statements: PlainStatements,
  submission: Pick<Insert, "tenantId" | "batch" | "ranked" | "graphs"> & {
    fulfilled: Fulfilment | null;
    sources: Sources;
  },
  limit: QueueLimit,
): Promise<Job[] | null> {
  const { tenantId, ranked, graphs, fulfilled, sources } = submission;
  const toRun = ranked.length - sources.size;
  const room = takeRoom(tenantId, toRun, limit);
  const depends = ranked.some(
    ({ job: { dependsOn = [], inputs = [] } }) => dependsOn.length + inputs.length > 0,
  );
  const goesBefore = ranked.some(({ job }) => job.door?.goesBefore === true);
  if (ranked.length <= rowsAtOnce && !depends && !goesBefore && sources.size === 0) {
    const insertOnce = async (transaction: Statements): Promise<Job[] | null> => {
      if (fulfilled !== null) await fulfilClaim(transaction, fulfilled);
      const inserted = await insertRows(transaction, { ...submission, isFirst: true, room });
      if (inserted.length > 0) return inGivenOrder(inserted, ranked);
      if (fulfilled !== null) throw new NoRoomError();
      return null;
    };
    // A statement alone is a transaction, and takes one trip.
    return fulfilled === null
      ? await repeatConflicts(() => insertOnce(statements))
      : await orNoRoom(repeatConflicts(() => statements.transaction(insertOnce)));
  }
  for (const part of partsOf(graphs)) await statements.$executeRaw(graphInsert(part, null));
  const insertParts = (): Promise<Job[]> =>
    statements.transaction(async (transaction) => {
      if (sources.size > 0) await lockSources(transaction, sources);
      if (fulfilled !== null) await fulfilClaim(transaction, fulfilled);
      const inserted: Job[] = [];
      for (const part of partsOf(ranked)) {
        const isFirst = inserted.length === 0;
        const more = await insertRows(transaction, {
          ...submission,
          isFirst,
          ranked: part,
          graphs: [],
          room: null,
        });
        inserted.push(...inGivenOrder(more, part));
      }
      const ready = depends ? await insertDependencies(transaction, tenantId, ranked) : new Set<string>();
      const placed = await placePrompts(transaction, tenantId, ranked);
      // This comes last because it locks the tenant's row: other submissions of the tenant then wait only for the
      // commit.
      if (toRun > 0 && (await transaction.$queryRaw<unknown[]>(room)).length === 0) throw new NoRoomError();
      return inserted.map((job) => {
        const rank = placed.get(job.id) ?? job.rank;
        return { ...job, rank, ...(ready.has(job.id) && { openDependencies: 0 }) };
      });
    });
  return await orNoRoom(repeatConflicts(insertParts));
}

/** `null` = the transaction was rolled back because the tenant's queue has no room. */
async function orNoRoom<Result>(transaction: Promise<Result>): Promise<Result | null> {
  try {
    return await transaction;
  } catch (error) {
    if (error instanceof NoRoomError) return null;
    throw error;
  }
}

function fulfilmentOf({ claim, remarks, batch, jobs }: NewSubmission): Fulfilment | null {
  const resourceId = batch?.id ?? jobs[0]?.id;
  if (claim === undefined || resourceId === undefined) return null;
  return { claim, resourceId, remarks: remarks ?? { warnings: [], notChecked: [] } };
}

/** Returns no rows when the tenant's queue has no room for the jobs. */
async function insertRows(statements: Statements, insert: Insert): Promise<Job[]> {
  const { tenantId, batch, ranked, room } = insert;
  const labels = labelsOf(batch?.labels ?? {});
  const inserted = await statements.$queryRaw<JobRow[]>`
    WITH room AS (${room ?? Prisma.sql`SELECT 1`}
    ), given AS (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(ranked.map(rowOf))}::jsonb) AS new(
        id uuid, "batchIndex" int, type job_type, priority job_priority, lane text, rank int, project text, scene text, shot text,
        tags text[], requires text[], "attemptsMax" int, "timeoutMs" int, "runAt" timestamptz, "expiresAt" timestamptz,
        parameters jsonb, "promptText" text, "workflowHash" text, "uploadIds" uuid[], "extraDataText" text, "sealedExtraData" text,
        key text, webhook jsonb, "openDependencies" int, "hasDependents" boolean, "reuseHash" text, "reusedFrom" uuid,
        "rerunOf" uuid, traceparent text, "templateName" text, "templateVersion" int, "templateValues" jsonb,
        door jsonb)
      WHERE EXISTS (SELECT FROM room)
    ), batch AS (
      INSERT INTO batches (id, tenant_id, name, total, project, scene, shot, tags)
      SELECT ${batch?.id ?? null}::uuid, ${tenantId}::uuid, ${batch?.name ?? null}::text, ${batch?.total ?? null}::int,
        ${labels.project}::text, ${labels.scene}::text, ${labels.shot}::text, ${labels.tags}::text[]
      WHERE ${batch !== null && insert.isFirst}::boolean AND EXISTS (SELECT FROM room)
    ), graph AS (
      ${graphInsert(insert.graphs, Prisma.sql`EXISTS (SELECT FROM room)`)}
    ), job AS (
      INSERT INTO jobs (id, tenant_id, batch_id, batch_index, type, priority, lane, rank, project, scene, shot, tags,
        requires, attempts_max, timeout_ms, run_at, expires_at, has_extra_data, key, open_dependencies,
        has_dependents, template_name, template_version, reuse_hash, reused_from, made_by, status, phase, percent,
        finished_at, event_sequence, output_bytes, rerun_of, traceparent, door)
      SELECT id, ${tenantId}::uuid, ${batch?.id ?? null}::uuid, "batchIndex", type, priority, lane, rank, project, scene,
        shot, tags, requires, "attemptsMax", "timeoutMs", "runAt", "expiresAt", "sealedExtraData" IS NOT NULL,
        key, "openDependencies", "hasDependents", "templateName", "templateVersion", decode("reuseHash", 'hex'), "reusedFrom",
        (SELECT ${makerOf("source")} FROM jobs source WHERE source.id = "reusedFrom"),
        CASE WHEN "reusedFrom" IS NULL THEN 'queued' ELSE 'completed' END::job_status,
        CASE WHEN "reusedFrom" IS NULL THEN 'waiting'::job_phase END,
        CASE WHEN "reusedFrom" IS NULL THEN 0 ELSE 100 END,
        CASE WHEN "reusedFrom" IS NOT NULL THEN now() END,
        CASE WHEN "reusedFrom" IS NULL THEN 1 ELSE 2 END,
        CASE WHEN "reusedFrom" IS NULL THEN 0 ELSE (
          SELECT coalesce(sum(bytes), 0) FROM outputs WHERE job_id = "reusedFrom" AND kind = 'text') END,
        "rerunOf", traceparent, door IS NOT NULL
      FROM given
      RETURNING *
    ), parameters AS (
      INSERT INTO job_parameters (job_id, parameters, prompt_text, workflow_hash, uploads_noted, extra_data_text,
        template_values)
      SELECT id, coalesce(parameters, 'null'), "promptText", "workflowHash", true, "extraDataText", "templateValues"
      FROM given ORDER BY "workflowHash"
    ), named AS (
      INSERT INTO job_uploads (job_id, upload_id)
      SELECT DISTINCT id, upload_id FROM given CROSS JOIN LATERAL unnest("uploadIds") AS upload_id ORDER BY upload_id
      RETURNING upload_id
    ), used AS (
      UPDATE uploads SET last_used_at = now() WHERE id IN (
        SELECT id FROM uploads WHERE id IN (SELECT upload_id FROM named) AND last_used_at < now() - interval '1 minute'
        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
    ), secret AS (
      INSERT INTO job_secrets (job_id, sealed)
      SELECT id, decode("sealedExtraData", 'base64') FROM given WHERE "sealedExtraData" IS NOT NULL
    ), hook AS (${webhookInsert(insert)}
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, 1, 'accepted', attempt, '{}'::jsonb FROM job
      UNION ALL
      SELECT id, 2, 'completed', attempt, jsonb_build_object('reusedFrom', reused_from, 'outputs', (
        SELECT count(*) FROM outputs source WHERE source.job_id = reused_from))
      FROM job WHERE reused_from IS NOT NULL
    )${ranked.some(({ job }) => job.door !== undefined) ? doorRows(tenantId) : Prisma.empty}${ranked.some(({ reusedFrom }) => reusedFrom !== null) ? reusedRows : Prisma.empty}
    SELECT ${jobColumns} FROM job`;
  return inserted.map(jobFromRow);
}

/** The webhooks of the jobs in the CTE `given`, and that of their batch. */
function webhookInsert({ tenantId, batch, isFirst }: Insert): Prisma.Sql {
  const hook = isFirst ? batch?.webhook : undefined;
  const ofBatch = hook === undefined ? null : toStoredJson(webhookRow(hook));
  return Prisma.sql`
      INSERT INTO webhooks (id, tenant_id, scope, url, events, sealed_secret)
      SELECT id, ${tenantId}::uuid, scope::webhook_scope, said.url, said.events, decode(said."sealedSecret", 'base64')
      FROM (
        SELECT id, 'job' AS scope, webhook FROM given WHERE webhook IS NOT NULL
        UNION ALL
        SELECT ${batch?.id ?? null}::uuid, 'batch', ${ofBatch}::jsonb WHERE ${ofBatch !== null}::boolean AND EXISTS (SELECT FROM room)
      ) named CROSS JOIN LATERAL jsonb_to_record(named.webhook) AS said(url text, events text[], "sealedSecret" text)`;
}

function graphInsert(graphs: PreparedGraph[], condition: Prisma.Sql | null): Prisma.Sql {
  const [hashes, graphsAsJson] = [graphs.map(({ hash }) => hash), graphs.map(({ json }) => json)];
  const texts = graphs.map(({ text }) => text);
  return Prisma.sql`
    INSERT INTO workflows (hash, graph, graph_text)
    SELECT hash, graph::jsonb, text
    FROM unnest(${hashes}::text[], ${graphsAsJson}::text[], ${texts}::text[]) AS new(hash, graph, text)
    WHERE ${condition ?? Prisma.sql`true`}
    ORDER BY hash
    ON CONFLICT (hash) DO NOTHING`;
}

function* partsOf<Item>(items: Item[]): Generator<Item[]> {
  for (let start = 0; start < items.length; start += rowsAtOnce) yield items.slice(start, start + rowsAtOnce);
}

function inGivenOrder(inserted: Job[], given: PreparedJob[]): Job[] {
  const byId = new Map(inserted.map((job) => [job.id, job]));
  return given.map(({ job: { id } }) => {
    const job = byId.get(id);
    if (job === undefined) throw new Error(`Job ${id} was inserted but not returned.`);
    return job;
  });
}
