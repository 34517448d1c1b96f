import { failureClasses, type JobAttempt, type JobFailure } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { withoutUserInfo } from "../../servers/clean-server-urls.ts";
import { type PrismaClient } from "../../generated/client.ts";

const failureSchema: z.ZodType<JobFailure> = z.object({
  class: z.enum(failureClasses),
  code: z.string(),
  message: z.string(),
  nodeId: z.string().exactOptional(),
  nodeType: z.string().exactOptional(),
  exceptionMessage: z.string().exactOptional(),
  traceback: z.array(z.string()).exactOptional(),
});

export async function listAttempts(database: PrismaClient, jobId: string): Promise<JobAttempt[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.jobAttempt.findMany({
    where: { jobId },
    orderBy: { number: "asc" },
    include: { server: { select: { url: true } } },
  });
  return rows.map((row) => ({
    number: row.number,
    promptId: row.promptId,
    serverId: row.serverId,
    serverUrl: withoutUserInfo(row.server.url),
    workerId: row.workerId,
    claimedAt: row.claimedAt,
    executionStartedAt: row.executionStartedAt,
    finishedAt: row.finishedAt,
    outcome: row.outcome,
    failure: row.failure === null ? null : failureSchema.parse(row.failure),
  }));
}

/** Which of these prompts belong to attempts on this server that have ended, those of removed jobs included. */
export async function findEndedPrompts(
  database: PrismaClient,
  serverId: string,
  promptIds: string[],
): Promise<string[]> {
  const asked = promptIds.filter((id) => isUuid(id));
  const rows = await database.$queryRaw<{ promptId: string }[]>`
    SELECT prompt_id AS "promptId" FROM job_attempts
    WHERE server_id = ${serverId}::uuid AND prompt_id = ANY(${asked}::uuid[]) AND finished_at IS NOT NULL
    UNION ALL
    SELECT prompt_id FROM abandoned_prompts
    WHERE server_id = ${serverId}::uuid AND prompt_id = ANY(${asked}::uuid[])`;
  return rows.map(({ promptId }) => promptId);
}
