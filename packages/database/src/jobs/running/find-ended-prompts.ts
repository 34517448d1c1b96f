import { validate as isUuid } from "uuid";
import { type PrismaClient } from "../../generated/client.ts";

/** Those of these prompts that belong to ended attempts on this server, including attempts of removed jobs. */
export async function findEndedPrompts(
  database: PrismaClient,
  serverId: string,
  promptIds: string[],
): Promise<string[]> {
  const asked = promptIds.filter((id) => isUuid(id));
  const rows = await database.$queryRaw<{ promptId: string }[]>`
    SELECT prompt_id AS "promptId" FROM job_attempts
    WHERE server_id = ${serverId}::uuid AND prompt_id = ANY(${asked}::uuid[]) AND finished_at IS NOT NULL
    UNION
    SELECT prompt_id FROM prompts_to_forget
    WHERE server_id = ${serverId}::uuid AND prompt_id = ANY(${asked}::uuid[])`;
  return rows.map(({ promptId }) => promptId);
}
