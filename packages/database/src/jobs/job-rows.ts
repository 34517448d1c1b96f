import {
  jobEventTypes,
  type Job,
  type JobEvent,
  type JobEventType,
  type JobOutput,
  type Json,
} from "@genga/jobs";
import { Prisma, type Job as StoredJob, type JobOutput as StoredOutput } from "../generated/client.ts";
import { failureFromRow, selectedFailure } from "./failure-columns.ts";
import { progressFromRow, selectedProgress } from "./progress-columns.ts";

/** The columns of a `Job`, from a table, alias or CTE named `job`. */
export const jobColumns = Prisma.sql`
  job.id, job.tenant_id AS "tenantId", job.batch_id AS "batchId", job.batch_index AS "batchIndex", job.key,
  job.type, job.status, job.phase, job.priority, job.lane, job.rank, job.project, job.scene, job.shot, job.tags,
  job.requires, job.attempt, job.attempts_charged AS "attemptsCharged", job.attempts_max AS "attemptsMax",
  job.out_of_memory_count AS "outOfMemoryCount", job.crash_count AS "crashCount",
  job.lease_number AS "leaseNumber", job.server_id AS "serverId", job.prompt_id AS "promptId",
  ${selectedProgress}, job.progress_at AS "progressAt",
  ${selectedFailure}, job.warnings, job.reused_from AS "reusedFrom",
  job.timeout_ms AS "timeoutMs", job.event_sequence AS "eventSequence",
  job.cancel_requested_at AS "cancelRequestedAt", job.cancel_too_late AS "cancelTooLate",
  job.run_at AS "runAt", job.paused_at AS "pausedAt", job.expires_at AS "expiresAt", job.enqueued_at AS "enqueuedAt",
  job.ticket_number AS "ticketNumber", job.aged AS "agedBands", job.open_dependencies AS "openDependencies",
  job.rerun_of AS "rerunOf", job.traceparent, job.template_name AS "templateName", job.template_version AS "templateVersion",
  job.created_at AS "createdAt",
  job.started_at AS "startedAt", job.finished_at AS "finishedAt"`;

/** The graph as text, from the table `workflows`. Parsed as JSON, its numbers would lose digits. */
export const graphText = Prisma.sql`coalesce(workflows.graph_text, workflows.graph::text)`;

/** A row of `jobColumns`. */
export type JobRow = Omit<
  StoredJob,
  | "leaseOwner"
  | "leaseExpiresAt"
  | "clientId"
  | "avoidServerId"
  | "hasExtraData"
  | "hasDependents"
  | "takeBackFor"
  | "takeBackAskedAt"
  | "takeBackBegun"
  | "reuseHash"
>;

export function jobFromRow(row: JobRow): Job {
  return {
    id: row.id,
    tenantId: row.tenantId,
    batchId: row.batchId,
    batchIndex: row.batchIndex,
    key: row.key,
    type: row.type,
    status: row.status,
    phase: row.phase,
    priority: row.priority,
    lane: row.lane,
    rank: row.rank,
    project: row.project,
    scene: row.scene,
    shot: row.shot,
    tags: row.tags,
    requires: row.requires,
    attempt: row.attempt,
    attemptsCharged: row.attemptsCharged,
    attemptsMax: row.attemptsMax,
    outOfMemoryCount: row.outOfMemoryCount,
    crashCount: row.crashCount,
    leaseNumber: row.leaseNumber,
    serverId: row.serverId,
    promptId: row.promptId,
    progress: progressFromRow(row),
    progressAt: row.progressAt,
    failure: failureFromRow(row),
    warnings: row.warnings,
    reusedFrom: row.reusedFrom,
    timeoutMs: row.timeoutMs,
    eventSequence: row.eventSequence,
    cancelRequestedAt: row.cancelRequestedAt,
    cancelTooLate: row.cancelTooLate,
    runAt: row.runAt,
    pausedAt: row.pausedAt,
    expiresAt: row.expiresAt,
    enqueuedAt: row.enqueuedAt,
    ticketNumber: row.ticketNumber,
    openDependencies: row.openDependencies,
    agedBands: row.agedBands,
    rerunOf: row.rerunOf,
    traceparent: row.traceparent,
    template:
      row.templateName === null || row.templateVersion === null
        ? null
        : { name: row.templateName, version: row.templateVersion },
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
  };
}

/** A job, and the event that the same statement appended. */
export const jobWithEventColumns = Prisma.sql`
  ${jobColumns}, event.type AS "eventType", event.data AS "eventData", event.created_at AS "eventAt"`;

export interface JobWithEventRow extends JobRow {
  eventType: string;
  eventData: Record<string, Json>;
  eventAt: Date;
}

export function jobWithEventFromRow(row: JobWithEventRow): { job: Job; event: JobEvent } {
  const event = eventFromRow({
    jobId: row.id,
    sequence: row.eventSequence,
    type: row.eventType,
    attempt: row.attempt,
    data: row.eventData,
    createdAt: row.eventAt,
  });
  return { job: jobFromRow(row), event };
}

/** The columns of a `JobEvent`, from a table, alias or CTE named `event`. */
export const eventColumns = Prisma.sql`
  event.job_id AS "jobId", event.sequence, event.type, event.attempt, event.data, event.created_at AS "createdAt"`;

export interface EventRow {
  jobId: string;
  sequence: number;
  type: string;
  attempt: number;
  data: Record<string, Json>;
  createdAt: Date;
}

export function eventFromRow(row: EventRow): JobEvent {
  return {
    jobId: row.jobId,
    sequence: row.sequence,
    type: parseEventType(row.type),
    attempt: row.attempt,
    data: row.data,
    createdAt: row.createdAt,
  };
}

function parseEventType(text: string): JobEventType {
  const type = jobEventTypes.find((known) => known === text);
  if (type === undefined) throw new Error(`The history holds an event of the unknown type "${text}".`);
  return type;
}

export function outputFromRow(row: StoredOutput): JobOutput {
  return { ...row, bytes: Number(row.bytes) };
}
