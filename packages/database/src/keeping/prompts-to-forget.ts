import { type EndedPrompt } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/** The worker that recorded the end deletes the prompt's entry itself within this time, and records that. */
const firstGrace = "5 seconds";

/** A part of the statement that ends attempts; `attempt` is the CTE with their prompts. */
export const noteEndedPrompts = Prisma.sql`
  INSERT INTO prompts_to_forget (prompt_id, server_id) SELECT prompt_id, server_id FROM attempt
  ON CONFLICT (prompt_id) DO NOTHING`;

/**
 * A part of the statement that removes jobs. The end of an attempt records its prompt, but processes of earlier versions did
 * not: they deleted the prompt's entry, or cancelled the prompt, which they could not do on a server that was away. While it
 * is away, the prompts of removed jobs are recorded again.
 */
export const notePromptsOfAbsentServers = (jobIds: string[]): Prisma.Sql => Prisma.sql`
  INSERT INTO prompts_to_forget (prompt_id, server_id, ended_at)
  SELECT attempt.prompt_id, attempt.server_id, attempt.finished_at
  FROM job_attempts attempt JOIN servers server ON server.id = attempt.server_id
  WHERE attempt.job_id = ANY(${jobIds}::uuid[]) AND attempt.finished_at IS NOT NULL AND server.state = 'unreachable'
  ON CONFLICT (prompt_id) DO NOTHING`;

/** @param limit for each server, so that one whose entries cannot be deleted does not keep the other servers waiting */
export async function listPromptsToForget(
  database: PrismaClient,
  serverIds: string[],
  limit: number,
): Promise<EndedPrompt[]> {
  if (serverIds.length === 0) return [];
  return await database.$queryRaw<EndedPrompt[]>`
    SELECT ended.prompt_id AS "promptId", ended.server_id AS "serverId"
    FROM unnest(${serverIds}::uuid[]) AS server(id) CROSS JOIN LATERAL (
      SELECT prompt_id, server_id FROM prompts_to_forget
      WHERE server_id = server.id AND ended_at < now() - ${firstGrace}::interval
      ORDER BY ended_at LIMIT ${limit}::int
    ) ended`;
}

export async function notePromptsForgotten(database: PrismaClient, promptIds: string[]): Promise<void> {
  if (promptIds.length === 0) return;
  await database.$executeRaw`DELETE FROM prompts_to_forget WHERE prompt_id = ANY(${promptIds}::uuid[])`;
}

export async function giveUpPrompts(database: PrismaClient, ageMs: number, limit: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM prompts_to_forget WHERE prompt_id IN (
      SELECT prompt_id FROM prompts_to_forget WHERE ended_at < now() - ${ageMs}::float8 * interval '1 millisecond'
      LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
}
