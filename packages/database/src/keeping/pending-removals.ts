import { type RemovedJob } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { keptFilesOf } from "./owned-files.ts";

export async function listPendingRemovals(database: PrismaClient, limit: number): Promise<RemovedJob[]> {
  return await database.$queryRaw<RemovedJob[]>`
    SELECT pending.job_id AS id, pending.lane, pending.attempt, pending.ticket_number AS "ticketNumber",
      ${keptFilesOf(Prisma.sql`pending.job_id`)} AS "keptFiles"
    FROM pending_removals pending WHERE pending.due_at <= now()
    ORDER BY pending.due_at LIMIT ${limit}::int`;
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
