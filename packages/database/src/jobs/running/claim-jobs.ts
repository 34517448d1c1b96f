import { inputKinds, type Claim, type DoorRun, type Json, type LeasedJob } from "@genga/jobs";
import { z } from "zod";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { isOneGiven } from "../../connection/given-rows.ts";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { leaseEnd } from "../../connection/lease-end.ts";
import { farmIsPaused } from "../../servers/prisma-farm-store.ts";
import { laneIsPaused } from "../../lanes/prisma-lane-pauses.ts";
import { clearedFailure, clearedProgress, clearedTakeBack } from "../cleared-columns.ts";
import { graphText, jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { isCurrent } from "../announcing/ticket-rows.ts";
import { isReadyById } from "../ready-jobs.ts";
import { bandOf } from "../ranks/waiting-band.ts";
import { runningRoomOf, type RunningLimit } from "./running-limit.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/** A row of a claim or an adoption, with the columns that a `JobRow` does not have. */
interface LeasedRow extends JobRow {
  parameters: Json;
  workflow: string;
  tenantSecret: Uint8Array;
  extraDataText: string | null;
  hasExtraData: boolean;
  inputs: unknown;
  sealedExtraData: Uint8Array | null;
  doorPromptId: string | null;
  doorTargets: string[] | null;
  doorSocketNodes: string[] | null;
  leasedServerId: string;
  leasedClientId: string;
  leasedPromptId: string;
  executionElapsedMs: number | null;
  expiresInMs: number | null;
}

/**
 * `queued → processing` for all claims at once. Attempt and lease number rise, and the prompt id is stored before the
 * prompt is posted. Of two claims of one job, the second waits for the first and then finds no queued row, so only one
 * succeeds.
 *
 * Of a tenant whose running jobs are limited, only as many jobs are claimed as it has places, the first of its queue
 * first.
 *
 * The clock of the lane and the band (the highest rank claimed so far) rises with the claims. If another claim has the clock's row
 * locked, that claim or a later one raises the clock.
 * @param kind which jobs may be claimed
 */
export async function claimJobs(
  statements: PlainStatements,
  claims: Claim[],
  leaseMs: number,
  running: RunningLimit,
  kind = readyJobs,
): Promise<LeasedJob[]> {
  const byJob = new Map(claims.map((claim) => [claim.jobId, claim]));
  if (byJob.size === 0) return [];
  const claimed = claimStatement([...byJob.values()], leaseMs, running, kind);
  const rows = claims.some(({ isLimited }) => isLimited)
    ? await statements.transaction(async (transaction) => {
        // Other claims for the same tenants wait here, and then also count the jobs that this one has claimed.
        await transaction.$executeRaw`
          SELECT FROM tenants WHERE id IN (SELECT tenant_id FROM jobs WHERE id = ANY(${[...byJob.keys()]}::uuid[]))
          ORDER BY id FOR NO KEY UPDATE`;
        return await transaction.$queryPrepared<LeasedRow[]>(kind.name, claimed);
      })
    : await statements.$queryPrepared<LeasedRow[]>(kind.name, claimed);
  const won = new Map(rows.map((row) => [row.id, leasedFromRow(row)]));
  return [...byJob.keys()].flatMap((jobId) => won.get(jobId) ?? []);
}

/** Which jobs a statement claims. */
export interface ClaimKind {
  /** Of the prepared statement. */
  name: string;
  /** A condition on the tables `job` and `ticket` (the claims), besides that the ticket is current. */
  isClaimable: Prisma.Sql;
}

const readyJobs: ClaimKind = { name: "claim-ready", isClaimable: isReadyById };

/** Exported for the test of its plan. */
export function claimStatement(
  claims: Claim[],
  leaseMs: number,
  running: RunningLimit,
  { isClaimable } = readyJobs,
): Prisma.Sql {
  const given = claims.map((claim) => ({ ...claim, given: 1 }));
  return Prisma.sql`
    WITH claimable AS (
      SELECT ticket.*, job.* FROM (
        SELECT * FROM jsonb_to_recordset(${toStoredJson(given)}::jsonb) AS claim("jobId" uuid, attempt int, "ticketNumber" int,
          "serverId" uuid, "workerId" text, "clientId" text, "promptId" uuid, given int)
        WHERE ${isOneGiven} ORDER BY "jobId"
      ) ticket CROSS JOIN LATERAL (
        SELECT job.tenant_id, ${bandOf(Prisma.sql`job`)} AS band, job.rank FROM jobs job
        WHERE job.id = ticket."jobId" AND ${isClaimable} AND ${isCurrent}
          AND NOT ${farmIsPaused} AND NOT ${laneIsPaused}
        LIMIT 1 FOR NO KEY UPDATE OF job
      ) job
    ), room AS MATERIALIZED (
      SELECT id, ${runningRoomOf(Prisma.sql`tenant.id`, running)} AS places
      FROM (SELECT DISTINCT tenant_id AS id FROM claimable) tenant
    ), held AS (
      SELECT placed.* FROM (
        SELECT claimable.*, row_number() OVER (PARTITION BY tenant_id ORDER BY band, rank, "jobId") AS place
        FROM claimable
      ) placed JOIN room ON room.id = placed.tenant_id
      WHERE room.places IS NULL OR placed.place <= room.places
    ), job AS (
      UPDATE jobs SET status = 'processing', phase = 'waiting', attempt = held.attempt, lease_number = lease_number + 1,
        lease_owner = held."workerId", lease_expires_at = ${leaseEnd(leaseMs)}, server_id = held."serverId",
        client_id = held."clientId", prompt_id = held."promptId", avoid_server_id = NULL, run_at = NULL,
        ${clearedProgress}, ${clearedFailure}, ${clearedTakeBack}, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held."jobId"
      RETURNING jobs.*
    ), attempt AS (
      INSERT INTO job_attempts (job_id, number, prompt_id, client_id, server_id, worker_id, server_version)
      SELECT id, attempt, prompt_id, client_id, server_id, lease_owner,
        (SELECT version FROM servers WHERE servers.id = job.server_id)
      FROM job
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'claimed', attempt, jsonb_build_object('serverId', server_id, 'workerId', lease_owner)
      FROM job
    ), risen AS (
      SELECT lane, ${bandOf(Prisma.sql`job`)} AS priority, max(rank) AS rank FROM job GROUP BY 1, 2
    ), clock AS (
      UPDATE lane_clocks SET claimed_rank = risen.rank
      FROM risen WHERE lane_clocks.lane = risen.lane AND lane_clocks.priority = risen.priority
        AND (lane_clocks.lane, lane_clocks.priority) IN (
          SELECT behind.lane, behind.priority FROM lane_clocks behind
          JOIN risen ON risen.lane = behind.lane AND risen.priority = behind.priority
          WHERE behind.claimed_rank < risen.rank FOR NO KEY UPDATE OF behind SKIP LOCKED)
    )
    SELECT ${jobColumns}, ${leaseColumns}, NULL::float8 AS "executionElapsedMs"
    FROM job ${withGraph}`;
}

/**
 * Takes over every job on these servers whose lease has expired or was released. The rows of the attempts are locked,
 * too, so that the take-over reads everything that the last owner has recorded about its submission.
 */
export async function adoptJobs(
  database: PrismaClient,
  serverIds: string[],
  workerId: string,
  leaseMs: number,
): Promise<LeasedJob[]> {
  if (serverIds.length === 0) return [];
  const rows = await database.$queryRaw<LeasedRow[]>(adoptionStatement(serverIds, workerId, leaseMs));
  return rows.map(leasedFromRow);
}

/** Exported for the test of its plan. */
export function adoptionStatement(serverIds: string[], workerId: string, leaseMs: number): Prisma.Sql {
  return Prisma.sql`
    WITH held AS (
      SELECT job.id, extract(epoch FROM now() - attempt.execution_started_at)::float8 * 1000 AS "executionElapsedMs"
      FROM jobs job JOIN job_attempts attempt ON attempt.job_id = job.id AND attempt.number = job.attempt
      WHERE job.status = 'processing' AND job.server_id = ANY(${serverIds}::uuid[]) AND job.lease_expires_at <= now()
      ORDER BY job.id FOR NO KEY UPDATE OF job, attempt
    ), job AS (
      UPDATE jobs SET lease_number = lease_number + 1, lease_owner = ${workerId}, lease_expires_at = ${leaseEnd(leaseMs)},
        ${clearedTakeBack}, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'adopted', attempt, jsonb_build_object('serverId', server_id, 'workerId', lease_owner)
      FROM job
    )
    SELECT ${jobColumns}, ${leaseColumns}, held."executionElapsedMs"
    FROM job JOIN held ON held.id = job.id ${withGraph}
    ORDER BY job.id`;
}

/** As `inputsSchema` reads them; mostly none. */
const inputsOfJob = Prisma.sql`(
  SELECT jsonb_agg(jsonb_build_object('name', input.name, 'from', input.needs_id, 'output', input.output_index,
    'kind', input.kind, 'file', CASE WHEN input.storage_key IS NOT NULL THEN jsonb_build_object(
      'storageKey', input.storage_key, 'sha256', input.sha256, 'mediaType', input.media_type,
      'filename', input.filename, 'bytes', input.bytes) END) ORDER BY input.name)
  FROM job_inputs input WHERE input.job_id = job.id)`;

const inputsSchema = z
  .array(
    z.object({
      ...{ name: z.string(), from: z.string(), output: z.int(), kind: z.enum(inputKinds).nullable() },
      file: z
        .object({
          ...{ storageKey: z.string(), sha256: z.string(), mediaType: z.string() },
          ...{
            filename: z
              .string()
              .nullable()
              .transform((name) => name ?? ""),
            bytes: z.int(),
          },
        })
        .nullable(),
    }),
  )
  .nullable();

const leaseColumns = Prisma.sql`
  ${inputsOfJob} AS inputs,
  job.server_id AS "leasedServerId", job.client_id AS "leasedClientId", job.prompt_id AS "leasedPromptId",
  asked.parameters, ${graphText} AS workflow, tenants.secret AS "tenantSecret",
  asked.extra_data_text AS "extraDataText", job.has_extra_data AS "hasExtraData", job_secrets.sealed AS "sealedExtraData",
  door_prompts.prompt_id AS "doorPromptId", door_prompts.targets AS "doorTargets", door_prompts.socket_nodes AS "doorSocketNodes",
  extract(epoch FROM job.expires_at - now())::float8 * 1000 AS "expiresInMs"`;

const withGraph = Prisma.sql`
  JOIN job_parameters asked ON asked.job_id = job.id
  JOIN workflows ON workflows.hash = asked.workflow_hash
  JOIN tenants ON tenants.id = job.tenant_id
  LEFT JOIN job_secrets ON job.has_extra_data AND job_secrets.job_id = job.id
  LEFT JOIN door_prompts ON job.door AND door_prompts.job_id = job.id`;

function doorRunOf(promptId: string, { doorTargets, doorSocketNodes }: LeasedRow): DoorRun {
  return { promptId, targets: doorTargets, socketNodes: doorSocketNodes ?? [] };
}

function leasedFromRow(row: LeasedRow): LeasedJob {
  const job = jobFromRow(row);
  return {
    jobId: job.id,
    attempt: job.attempt,
    leaseNumber: job.leaseNumber,
    job,
    parameters: row.parameters,
    workflow: row.workflow,
    tenantSecret: row.tenantSecret,
    extraDataText: row.extraDataText,
    hasExtraData: row.hasExtraData,
    inputs: inputsSchema.parse(row.inputs) ?? [],
    sealedExtraData: row.sealedExtraData,
    door: row.doorPromptId === null ? null : doorRunOf(row.doorPromptId, row),
    serverId: row.leasedServerId,
    clientId: row.leasedClientId,
    promptId: row.leasedPromptId,
    executionElapsedMs: row.executionElapsedMs,
    expiresInMs: row.expiresInMs,
  };
}
