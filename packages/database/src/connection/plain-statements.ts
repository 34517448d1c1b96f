import pg from "pg";
import { Prisma } from "../generated/client.ts";

/** What runs statements: Prisma, a transaction of Prisma, or `pg`. */
export interface Statements {
  $queryRaw<Rows>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<Rows>;
  /** @returns how many rows were changed */
  $executeRaw(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<number>;
}

/** Runs statements that each connection prepares once. */
export interface PreparedStatements {
  /**
   * PostgreSQL parses and plans the statement once for each connection, whatever its parameters are.
   * @param name at most 63 characters; always with the same text, otherwise `pg` throws an error
   */
  $queryPrepared<Rows>(name: string, query: Prisma.Sql): Promise<Rows>;
}

/**
 * Statements by `pg` alone, over the same pool, for those with large parameters. Prisma 7 writes the parameters of every
 * raw statement as JSON, reads them again, and keeps them: each of its two debug logs holds the last hundred calls, also
 * when nothing is logged. Ten thousand accepted jobs would stay in memory like that until other statements take their
 * place.
 */
export class PlainStatements implements Statements, PreparedStatements {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  $queryRaw<Rows>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<Rows> {
    return statementsOf(this.#pool).$queryRaw(query, ...values);
  }

  $executeRaw(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]): Promise<number> {
    return statementsOf(this.#pool).$executeRaw(query, ...values);
  }

  $queryPrepared<Rows>(name: string, query: Prisma.Sql): Promise<Rows> {
    return statementsOf(this.#pool).$queryPrepared(name, query);
  }

  /** Commits what `work` did, or rolls it back when `work` throws. */
  async transaction<Result>(
    work: (statements: Statements & PreparedStatements) => Promise<Result>,
  ): Promise<Result> {
    const client = await this.#pool.connect();
    let isBroken = false;
    const noteBroken = (): void => {
      isBroken = true;
    };
    // The pool listens only to idle connections, and an error to which nobody listens would end the process. The running
    // statement, or the next one, is rejected as well.
    client.on("error", noteBroken);
    try {
      await client.query("BEGIN");
      const result = await work(statementsOf(client));
      await client.query("COMMIT");
      return result;
    } catch (error) {
      await client.query("ROLLBACK").catch(noteBroken);
      throw error;
    } finally {
      // A connection that may still be within the transaction is closed, and not given to others.
      client.release(isBroken);
      client.off("error", noteBroken);
    }
  }
}

function statementsOf(client: pg.Pool | pg.PoolClient): Statements & PreparedStatements {
  const run = (query: TemplateStringsArray | Prisma.Sql, given: unknown[]): Promise<pg.QueryResult> => {
    const { text, values } = query instanceof Prisma.Sql ? query : Prisma.sql(query, ...given);
    return client.query({ text, values, types });
  };
  return {
    $queryRaw: async <Rows>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) =>
      (await run(query, values)).rows as Rows,
    $executeRaw: async (query, ...values) => (await run(query, values)).rowCount ?? 0,
    $queryPrepared: async <Rows>(name: string, { text, values }: Prisma.Sql) =>
      (await client.query({ name, text, values, types })).rows as Rows,
  };
}

const parserOf: (type: number, format?: "text" | "binary") => (text: string) => unknown =
  pg.types.getTypeParser;

/** As Prisma reads them: `bigint` columns as bigints. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (type, format) => (type === pg.types.builtins.INT8 ? BigInt : parserOf(type, format)),
};
