import { type RemovedJob } from "@genga/jobs";
import { type PrismaClient } from "../generated/client.ts";

export async function listPendingRemovals(database: PrismaClient, limit: number): Promise<RemovedJob[]> {
  return await database.$queryRaw<RemovedJob[]>`
    SELECT job_id AS id, lane, attempt, ticket_number AS "ticketNumber" FROM pending_removals WHERE due_at <= now()
    ORDER BY due_at LIMIT ${limit}::int`;
}

export async function finishRemovals(database: PrismaClient, jobIds: string[]): Promise<void> {
  if (jobIds.length === 0) return;
  await database.$executeRaw`DELETE FROM pending_removals WHERE job_id = ANY(${jobIds}::uuid[])`;
}

export async function putOffRemovals(
  database: PrismaClient,
  jobIds: string[],
  delayMs: number,
): Promise<void> {
  if (jobIds.length === 0) return;
  await database.$executeRaw`
    UPDATE pending_removals SET due_at = now() + ${delayMs}::float8 * interval '1 millisecond'
    WHERE job_id = ANY(${jobIds}::uuid[])`;
}
