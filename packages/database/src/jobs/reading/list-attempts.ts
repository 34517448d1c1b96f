import { failureClasses, type JobAttempt, type JobFailure } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { z } from "zod";
import { type PrismaClient } from "../../generated/client.ts";
import { withoutUserInfo } from "../../servers/clean-server-urls.ts";

const failureSchema: z.ZodType<JobFailure> = z.object({
  class: z.enum(failureClasses),
  code: z.string(),
  message: z.string(),
  nodeId: z.string().exactOptional(),
  nodeType: z.string().exactOptional(),
  exceptionMessage: z.string().exactOptional(),
  traceback: z.array(z.string()).exactOptional(),
});

/** Oldest first. @param of.tenantId the job's tenant; absent = any tenant, for workers */
export async function listAttempts(
  database: PrismaClient,
  jobId: string,
  of: { tenantId?: string } = {},
): Promise<JobAttempt[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.jobAttempt.findMany({
    where: { jobId, ...(of.tenantId !== undefined && { job: { tenantId: of.tenantId } }) },
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
