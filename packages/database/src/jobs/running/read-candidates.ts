import { type Candidate, type TicketReference } from "@genga/jobs";
import { isOneGiven } from "../../connection/given-rows.ts";
import { type PreparedStatements } from "../../connection/plain-statements.ts";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma } from "../../generated/client.ts";
import { isCurrent } from "../announcing/ticket-rows.ts";
import { graphText } from "../job-rows.ts";
import { bandOf } from "../ranks/waiting-band.ts";
import { isReadyById } from "../ready-jobs.ts";
import { runningRoomOf, type RunningLimit } from "./running-limit.ts";

export async function readCandidates(
  statements: PreparedStatements,
  tickets: TicketReference[],
  running: RunningLimit,
): Promise<Candidate[]> {
  if (tickets.length === 0) return [];
  return await statements.$queryPrepared<Candidate[]>(
    "read-candidates",
    candidatesStatement(tickets, running),
  );
}

/** Of a row `job`: no server can run it to the end. */
const mustFail = Prisma.sql`(
  job.door AND EXISTS (SELECT FROM door_prompts said WHERE said.job_id = job.id AND said.must_fail)) AS "mustFail"`;

/** Exported for the test of its plan. */
export function candidatesStatement(tickets: TicketReference[], running: RunningLimit): Prisma.Sql {
  const rows = tickets.map(({ jobId, attempt, ticketNumber }) => ({
    jobId,
    attempt,
    ticketNumber,
    given: 1,
  }));
  return Prisma.sql`
    SELECT job.id AS "jobId", ticket.attempt, ticket."ticketNumber", ${graphText} AS workflow, workflows.hash AS "workflowHash",
      job.lane, job.requires, ${mustFail}, job.avoid_server_id AS "avoidServerId", job.out_of_memory_count > 0 AS "ranOutOfMemory", job.tenant_id AS "tenantId",
      ${runningRoomOf(Prisma.sql`job.tenant_id`, running)} AS "tenantRoom"
    FROM (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(rows)}::jsonb)
        AS reference("jobId" uuid, attempt int, "ticketNumber" int, given int)
      WHERE ${isOneGiven}
    ) ticket
    JOIN jobs job ON job.id = ticket."jobId"
    JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE ${isReadyById} AND ${isCurrent}
        AND (job.expires_at IS NULL OR job.expires_at > now())
    ORDER BY ${bandOf(Prisma.sql`job`)}, job.rank, job.id`;
}
