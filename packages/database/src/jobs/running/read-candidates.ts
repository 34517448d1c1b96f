import { type Candidate, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { isCurrent, ticketRows } from "../announcing/ticket-rows.ts";
import { graphText } from "../job-rows.ts";
import { bandOf } from "../ranks/waiting-band.ts";
import { isReady } from "../ready-jobs.ts";
import { runningRoomOf, type RunningLimit } from "./running-limit.ts";

export async function readCandidates(
  database: PrismaClient,
  tickets: TicketReference[],
  running: RunningLimit,
): Promise<Candidate[]> {
  if (tickets.length === 0) return [];
  return await database.$queryRaw<Candidate[]>`
    SELECT job.id AS "jobId", ticket.attempt, ticket."ticketNumber", ${graphText} AS workflow, workflows.hash AS "workflowHash",
      job.lane, job.requires, job.avoid_server_id AS "avoidServerId", job.tenant_id AS "tenantId",
      ${runningRoomOf(Prisma.sql`job.tenant_id`, running)} AS "tenantRoom"
    FROM ${ticketRows(tickets)}
    JOIN jobs job ON job.id = ticket."jobId"
    JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE ${isReady} AND ${isCurrent}
        AND (job.expires_at IS NULL OR job.expires_at > now())
    ORDER BY ${bandOf(Prisma.sql`job`)}, job.rank, job.id`;
}
