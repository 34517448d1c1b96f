import pg from "pg";
import { StoreUnavailableError } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { listMigrations } from "./migrate.ts";

/**
 * Counts up only when the code can no longer live with a database that an older version left, or an older version with a
 * database of this one. A migration that older code cannot live with raises `schema_support.lowest_code_version` to this.
 */
const codeVersion = 1;

/** A newer version of Genga has changed the database so that this one must not use it. */
class SchemaTooNewError extends Error {
  readonly code = "schema-too-new";
  override readonly name = "SchemaTooNewError";

  constructor(lowest: number) {
    super(
      `The database was changed by a newer version of Genga and wants processes of code version ${lowest} or later; ` +
        `this one is ${codeVersion}. Start the newer version.`,
    );
  }
}

export interface AwaitSchemaOptions {
  databaseUrl: string;
  signal: AbortSignal;
  /** Hears why the process waits, once for each kind of reason: migrations that are under way are no news. */
  onWaiting: (message: string) => void;
  /** Default: the project's `prisma/migrations`. */
  folder?: string;
}

const askAgainMs = 1_000;

/**
 * Resolves once the database has every migration of this version. Those of later versions only add, so that older
 * processes go on beside newer ones, unless the database itself says otherwise.
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
    await pause(askAgainMs, signal);
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

/** A database that was never migrated has neither table. */
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
    // A connection that never came about, or broke, has nothing to end.
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

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, durationMs);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
