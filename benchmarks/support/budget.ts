import { type Redis } from "ioredis";
import type pg from "pg";
import { z } from "zod";

/** What the services were asked to do so far; the difference of two is what a run costs. */
export interface Spent {
  /** Statements that clients sent to PostgreSQL, BEGIN and COMMIT included: each is a round trip. */
  statements: number;
  transactions: number;
  walBytes: number;
  /** Commands that Redis ran, those inside scripts included. */
  redisCommands: number;
  redisScripts: number;
}

const spentSchema = z.object({
  statements: z.coerce.number(),
  transactions: z.coerce.number(),
  walBytes: z.coerce.number(),
});

/** @param client of a database with `pg_stat_statements` (`startCountingServices`) */
export async function readSpent(client: pg.Client, redis: Redis): Promise<Spent> {
  // A session reports its transactions and WAL at most once a second.
  await client.query("SELECT pg_stat_force_next_flush()");
  const { rows } = await client.query(
    `SELECT (SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE toplevel) AS statements,
       (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()) AS transactions,
       pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS "walBytes"`,
  );
  const lines = (await redis.info("commandstats")).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  const commands = [...lines].map(([, name = "", calls]) => ({ name, calls: Number(calls) }));
  const callsOf = (isCounted: (name: string) => boolean): number =>
    commands.reduce((sum, { name, calls }) => sum + (isCounted(name) ? calls : 0), 0);
  return {
    ...spentSchema.parse(rows[0]),
    redisCommands: callsOf(() => true),
    redisScripts: callsOf((name) => /^(eval|evalsha|fcall)(_ro)?$/.test(name)),
  };
}

/** `after` less `before`, for each of so many jobs. */
export function spentPerJob(before: Spent, after: Spent, jobs: number): Spent {
  const each = (of: (spent: Spent) => number): number => (of(after) - of(before)) / jobs;
  return {
    statements: each((spent) => spent.statements),
    transactions: each((spent) => spent.transactions),
    walBytes: each((spent) => spent.walBytes),
    redisCommands: each((spent) => spent.redisCommands),
    redisScripts: each((spent) => spent.redisScripts),
  };
}

/** The statements that took PostgreSQL most of its time since the last call, as lines; and forgets them. */
export async function takeTopStatements(client: pg.Client, jobs: number, linesMax = 15): Promise<string[]> {
  const { rows } = await client.query<{
    ms: number;
    plan: number;
    calls: number;
    buffers: number;
    text: string;
  }>(
    `SELECT total_exec_time::float8 AS ms, calls::int, (shared_blks_hit + shared_blks_read)::float8 / calls AS buffers,
       regexp_replace(query, '\\s+', ' ', 'g') AS text
     FROM pg_stat_statements WHERE toplevel ORDER BY total_exec_time DESC LIMIT $1`,
    [linesMax],
  );
  await client.query("SELECT pg_stat_statements_reset()");
  return rows.map(
    ({ ms, calls, buffers, text }) =>
      `${(ms / jobs).toFixed(3)} ms a job, ${(calls / jobs).toFixed(3)} calls a job, ${(ms / calls).toFixed(2)} ms and ` +
      `${buffers.toFixed(0)} buffers each: ${text.slice(0, 140)}`,
  );
}
