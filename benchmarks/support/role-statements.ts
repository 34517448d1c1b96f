import pg from "pg";
import { z } from "zod";

/** A role of its own for one process or more, so that its statements can be told from those of others. */
export interface CountedRole {
  readonly databaseUrl: string;
  /** Begins to count anew. */
  reset(): Promise<void>;
  /** The statements of the role since then, those first that came most often. */
  read(): Promise<CountedStatement[]>;
  close(): Promise<void>;
}

const statementSchema = z.object({
  calls: z.coerce.number(),
  /** Of PostgreSQL's time, for all calls. */
  ms: z.coerce.number(),
  text: z.string(),
});
export type CountedStatement = z.infer<typeof statementSchema>;

/** @param databaseUrl of a superuser of a database with `pg_stat_statements` */
export async function countStatementsOf(databaseUrl: string, name: string): Promise<CountedRole> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const password = crypto.randomUUID();
  await client.query(`CREATE ROLE ${name} SUPERUSER LOGIN PASSWORD '${password}'`);
  return {
    databaseUrl: String(Object.assign(new URL(databaseUrl), { username: name, password })),
    reset: async () => {
      await client.query("SELECT pg_stat_statements_reset()");
    },
    read: async () => {
      const { rows } = await client.query(
        `SELECT calls, total_exec_time AS ms, regexp_replace(query, '\\s+', ' ', 'g') AS text FROM pg_stat_statements
         WHERE toplevel AND userid = (SELECT oid FROM pg_roles WHERE rolname = $1) ORDER BY calls DESC`,
        [name],
      );
      return rows.map((row) => statementSchema.parse(row));
    },
    close: () => client.end(),
  };
}

/** The first statements, as lines for people. */
export function linesOf(statements: readonly CountedStatement[], wallSeconds: number): string[] {
  return statements
    .slice(0, 25)
    .map(
      ({ calls, ms, text }) =>
        `${(calls / wallSeconds).toFixed(2)}/s, ${(ms / calls).toFixed(2)} ms each: ${text.slice(0, 150)}`,
    );
}
