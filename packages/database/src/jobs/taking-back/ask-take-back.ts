import { type JobLease } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { Prisma } from "../../generated/client.ts";
import { heldJobs } from "../running/hold-leases.ts";
import { isAsked } from "./is-asked.ts";
import { mayBeQueued } from "./may-be-queued.ts";

/**
 * Asks the owner of the prompt's server to take the prompt back for that other server.
 * @returns `false`: the prompt has begun, somebody else asks for it, or its row is in use just now
 */
export async function askTakeBack(
  database: PrismaClient,
  lease: JobLease,
  serverId: string,
): Promise<boolean> {
  const asked = await database.$executeRaw`
    WITH held AS (
      SELECT job.id FROM jobs job
      WHERE job.id = ${lease.jobId}::uuid AND job.attempt = ${lease.attempt} AND job.lease_number = ${lease.leaseNumber}
        AND job.status = 'processing' AND job.phase = 'submitted' AND NOT job.take_back_begun
        AND NOT coalesce(${isAsked(Prisma.sql`job`)}, false)
      FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs SET take_back_for = ${serverId}::uuid, take_back_asked_at = now() FROM held WHERE jobs.id = held.id`;
  return asked === 1;
}

/**
 * The owner of the prompt's server begins to take it back, once per attempt: if the request is not void, the other server
 * still stands empty, and the job could be claimed again.
 * @returns the other server; `null` = the prompt stays
 */
export async function beginTakeBack(database: PrismaClient, lease: JobLease): Promise<string | null> {
  const [begun] = await database.$queryRaw<{ serverId: string }[]>`
    WITH held AS (${heldJobs([lease], isStillWanted)})
    UPDATE jobs SET take_back_begun = true FROM held WHERE jobs.id = held.id RETURNING jobs.take_back_for AS "serverId"`;
  return begun?.serverId ?? null;
}

/**
 * The owner of the prompt's server, which gets no new work, begins to take it back, once per attempt, if the job could be
 * claimed again. Requests of other servers for it are void then.
 */
export async function beginGivingBack(database: PrismaClient, lease: JobLease): Promise<boolean> {
  const waits = Prisma.sql`job.phase IN ('waiting', 'submitted') AND NOT job.take_back_begun AND ${mayBeQueued}`;
  const begun = await database.$executeRaw`
    WITH held AS (${heldJobs([lease], waits)})
    UPDATE jobs SET take_back_begun = true, take_back_for = NULL FROM held WHERE jobs.id = held.id`;
  return begun === 1;
}

const isStillWanted = Prisma.sql`
  job.phase = 'submitted' AND ${isAsked(Prisma.sql`job`)} AND ${mayBeQueued}
  AND EXISTS (
    SELECT FROM servers empty WHERE empty.id = job.take_back_for AND empty.lease_expires_at > now()
      AND empty.state = 'online' AND NOT empty.draining
      AND NOT EXISTS (
        SELECT FROM jobs other WHERE other.status = 'processing' AND other.server_id = empty.id AND other.phase <> 'saving'))`;
