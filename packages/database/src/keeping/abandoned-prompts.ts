import { Prisma, type PrismaClient } from "../generated/client.ts";

/** The owner of a server that answers looks at its queue every few seconds. */
const looksTake = Prisma.sql`interval '1 minute'`;
/** A server that stays away for longer has lost its queue, or its place in the configuration. */
const keptFor = Prisma.sql`interval '30 days'`;

/**
 * Whether a server's owner has seen its queue since a moment: it has answered all the time for longer than a look takes.
 * @param since a column with the moment; the server's row is `server`
 */
function wasSeenSince(since: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(server.state IN ('online', 'probing') AND coalesce(server.lease_expires_at > now(), false)
    AND greatest(server.state_since, ${since}) < now() - ${looksTake})`;
}

/**
 * Notes, when jobs are removed, which of their prompts may still be on a server: it was away when the attempt ended, and
 * nobody has seen it since. Part of the statement that removes the jobs; a prompt that completed is nowhere any more.
 */
export function noteAbandonedPrompts(jobIds: string[]): Prisma.Sql {
  return Prisma.sql`
    INSERT INTO abandoned_prompts (prompt_id, server_id)
    SELECT attempt.prompt_id, attempt.server_id
    FROM job_attempts attempt JOIN servers server ON server.id = attempt.server_id
    WHERE attempt.job_id = ANY(${jobIds}::uuid[]) AND attempt.outcome IS DISTINCT FROM 'completed'
      AND NOT ${wasSeenSince(Prisma.sql`attempt.finished_at`)}
    ON CONFLICT DO NOTHING`;
}

/** Forgets, up to `limit`, those whose server was seen since: its owner has taken back what was there. Returns how many. */
export async function forgetAbandonedPrompts(database: PrismaClient, limit: number): Promise<number> {
  return await database.$executeRaw`
    DELETE FROM abandoned_prompts WHERE prompt_id IN (
      SELECT prompt.prompt_id FROM abandoned_prompts prompt JOIN servers server ON server.id = prompt.server_id
      WHERE ${wasSeenSince(Prisma.sql`prompt.noted_at`)} OR prompt.noted_at < now() - ${keptFor}
      ORDER BY prompt.noted_at LIMIT ${limit}::int FOR UPDATE OF prompt SKIP LOCKED)`;
}
