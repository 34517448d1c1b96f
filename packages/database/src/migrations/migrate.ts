import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pRetry from "p-retry";
import pg from "pg";
import { withMappedErrors } from "../connection/database-errors.ts";

/** A migration cannot be applied, or an earlier run did not finish it. */
export class MigrationError extends Error {
  readonly code = "migration-failed";
  readonly retryable = false;
  readonly migration: string;

  constructor(migration: string, message: string, cause?: unknown) {
    super(`Migration ${migration} ${message}`, { cause });
    this.name = "MigrationError";
    this.migration = migration;
  }
}

export interface MigrateOptions {
  databaseUrl: string;
  /** Ends the run, also while it waits for another process. A migration that is being applied is rolled back. */
  signal?: AbortSignal;
  /** Default: the project's `prisma/migrations`. */
  folder?: string;
}

/** Prisma's own engine takes the same lock, so that the two never run at the same time. */
const prismaLock = 72707369;
const connectTimeoutMs = 5_000;

const projectMigrations = fileURLToPath(new URL("../../../../prisma/migrations/", import.meta.url));

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Applies the missing migrations of `prisma/migrations`, as `prisma migrate deploy` would and with the same records,
 * but without Prisma's engine. Several processes may call it at once: one applies the migrations, the others wait and
 * find nothing to do. Migrations in the database that this version does not have are ignored, so that an older process
 * can start beside a newer one.
 *
 * @returns the names of the migrations that were applied
 * @throws MigrationError
 * @throws StoreUnavailableError
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const { databaseUrl, signal } = options;
  signal?.throwIfAborted();
  const migrations = await readMigrations(options.folder ?? projectMigrations);
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: "genga-migrate",
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  });
  // A lost connection also rejects the running query, where the error is handled.
  client.on("error", () => undefined);
  const stop = (): void => {
    void client.end().catch(() => undefined);
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    return await withMappedErrors(async () => {
      await client.connect();
      return await applyNew(client, migrations);
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await client.end();
  }
}

/** The names of this version's migrations, in their order. */
export async function listMigrations(folder = projectMigrations): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = await listMigrations(folder);
  return await Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(folder, name, "migration.sql"), "utf8");
      return { name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

/** Takes the lock, which it holds until the connection ends. */
async function applyNew(client: pg.Client, migrations: Migration[]): Promise<string[]> {
  await client.query("SELECT pg_advisory_lock($1)", [prismaLock]);
  await client.query(`
    CREATE TABLE IF NOT EXISTS _prisma_migrations (
      id VARCHAR(36) PRIMARY KEY NOT NULL,
      checksum VARCHAR(64) NOT NULL,
      finished_at TIMESTAMPTZ,
      migration_name VARCHAR(255) NOT NULL,
      logs TEXT,
      rolled_back_at TIMESTAMPTZ,
      started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
      applied_steps_count INTEGER NOT NULL DEFAULT 0
    )`);
  const { rows: known } = await client.query<{ name: string; checksum: string; finished: boolean }>(`
    SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished
    FROM _prisma_migrations WHERE rolled_back_at IS NULL`);
  const unfinished = known.find(({ finished }) => !finished);
  if (unfinished !== undefined) {
    throw new MigrationError(
      unfinished.name,
      "was started earlier and did not finish. Repair the database, then mark it with `prisma migrate resolve`.",
    );
  }
  const applied: string[] = [];
  for (const migration of migrations) {
    const before = known.find(({ name }) => name === migration.name);
    if (before === undefined) {
      await apply(client, migration);
      applied.push(migration.name);
    } else if (before.checksum !== migration.checksum) {
      throw new MigrationError(migration.name, "was changed after it had been applied to this database.");
    }
  }
  return applied;
}

/**
 * A migration waits less long for a lock than PostgreSQL's deadlock timeout (1 s). So if a migration and a running
 * process wait for each other, the migration gives up, and no statement queues behind it for longer than that.
 */
const lockTimeoutMs = 900;
const triesMax = 100;
const betweenTriesMs = 300;

/** Deadlock, lock timeout, serialization failure. */
const lockFaults = new Set(["40P01", "55P03", "40001"]);

/**
 * Runs the statements of a file and records it in one transaction, so that an interrupted migration leaves nothing
 * behind. Processes of an earlier version go on working meanwhile. If they hold locks on its tables, the migration is
 * tried again.
 */
async function apply(client: pg.Client, migration: Migration): Promise<void> {
  const applyOrRollBack = async (): Promise<void> => {
    try {
      await applyOnce(client, migration);
    } catch (error) {
      // This also rejects when the connection is lost, which has rolled the transaction back.
      await client.query("ROLLBACK");
      throw error;
    }
  };
  try {
    await pRetry(applyOrRollBack, {
      retries: triesMax - 1,
      minTimeout: betweenTriesMs,
      factor: 1,
      shouldRetry: ({ error }) => isLockFault(error),
    });
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    if (isLockFault(error)) {
      throw new MigrationError(
        migration.name,
        "was not applied, since other processes held locks on its tables at every try. Nothing was changed. End sessions " +
          "with long transactions, and run it again.",
      );
    }
    await noteFailure(client, migration, error.message);
    throw new MigrationError(migration.name, `does not apply: ${error.message}`, error);
  }
}

function isLockFault(error: unknown): boolean {
  return error instanceof pg.DatabaseError && lockFaults.has(error.code ?? "");
}

async function applyOnce(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query("BEGIN");
  await client.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
  await client.query(sql);
  await client.query(
    `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, clock_timestamp(), 1)`,
    [randomUUID(), checksum, name],
  );
  await client.query("COMMIT");
}

/** Records the error with the migration, as Prisma does. */
async function noteFailure(client: pg.Client, { name, checksum }: Migration, message: string): Promise<void> {
  await client.query(
    "INSERT INTO _prisma_migrations (id, checksum, migration_name, logs) VALUES ($1, $2, $3, $4)",
    [randomUUID(), checksum, name, message],
  );
}
