import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { StoreUnavailableError } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { listMigrations } from "./migrate.ts";

/**
 * Rises only when this code can no longer use a database that an older version left, or older code cannot use a
 * database of this version. A migration that older code cannot use raises `schema_support.lowest_code_version` to this.
 */
const codeVersion = 3;

/** A newer version of Genga has changed the database in a way that this version cannot use. */
class SchemaTooNewError extends Error {
  readonly code = "schema-too-new";
  override readonly name = "SchemaTooNewError";

  constructor(lowest: number) {
    super(
      `The database was changed by a newer version of Genga and needs processes of code version ${lowest} or later; ` +
        `this one is ${codeVersion}. Start the newer version.`,
    );
  }
}

export interface AwaitSchemaOptions {
  databaseUrl: string;
  signal: AbortSignal;
  /**
   * Told why the process waits, once for each kind of reason. A change in the number of missing migrations is not told.
   */
  onWaiting: (message: string) => void;
  /** Default: the project's `prisma/migrations`. */
  folder?: string;
}

const askAgainMs = 1_000;

/**
 * Resolves once the database has every migration of this version. Migrations of later versions only add things, so that
 * older processes can go on beside newer ones, unless the database says otherwise (`schema_support`).
 * @throws SchemaTooNewError or the signal's reason
 */
export async function awaitSchema(options: AwaitSchemaOptions): Promise<void> {
  const { signal, onWaiting } = options;
  const wanted = await listMigrations(options.folder);
  let said: WaitingReason["kind"] | null = null;
  for (;;) {
    signal.throwIfAborted();
    const reason = await whyToWait(options.databaseUrl, wanted);
    if (reason === null) return;
    if (reason.kind !== said) onWaiting(reason.message);
    said = reason.kind;
    // An aborted wait ends at once, and the loop throws the signal's reason.
    await sleep(askAgainMs, undefined, { signal }).catch(() => undefined);
  }
}

interface WaitingReason {
  kind: "migrations-missing" | "database-away";
  message: string;
}

async function whyToWait(databaseUrl: string, wanted: readonly string[]): Promise<WaitingReason | null> {
  try {
    const { applied, lowest } = await readSchema(databaseUrl);
    if (lowest > codeVersion) throw new SchemaTooNewError(lowest);
    const missing = wanted.filter((name) => !applied.has(name));
    if (missing.length === 0) return null;
    const more = missing.length > 1 ? ` and ${missing.length - 1} more` : "";
    const message = `The database lacks the migration ${String(missing[0])}${more}. Waiting for \`npm run migrate\`.`;
    return { kind: "migrations-missing", message };
  } catch (error) {
    if (error instanceof StoreUnavailableError)
      return { kind: "database-away", message: `Waiting for PostgreSQL. ${error.message}` };
    throw error;
  }
}

/** A database that was never migrated has neither of these tables. */
async function readSchema(databaseUrl: string): Promise<{ applied: Set<string>; lowest: number }> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: "genga-schema",
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  });
  client.on("error", () => undefined);
  try {
    return await withMappedErrors(async () => {
      await client.connect();
      const applied = await rowsOrNone<{ name: string }>(
        client,
        "SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
      );
      const [support] = await rowsOrNone<{ lowest: number }>(
        client,
        "SELECT lowest_code_version AS lowest FROM schema_support",
      );
      return { applied: new Set(applied.map(({ name }) => name)), lowest: support?.lowest ?? 0 };
    });
  } finally {
    // A connection that was never opened, or broke, cannot be ended.
    await client.end().catch(() => undefined);
  }
}

const undefinedTable = "42P01";

async function rowsOrNone<Row extends pg.QueryResultRow>(client: pg.Client, sql: string): Promise<Row[]> {
  try {
    return (await client.query<Row>(sql)).rows;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === undefinedTable) return [];
    throw error;
  }
}
