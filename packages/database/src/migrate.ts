import { createHash, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { withMappedErrors } from "./database-errors.ts";

/** A migration does not apply, or an earlier run of it was left unfinished. */
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
  /** Gives up, also while another process migrates. A migration under way is rolled back. */
  signal?: AbortSignal;
  /** Default: the project's `prisma/migrations`. */
  folder?: string;
}

/** The lock that Prisma's own engine takes, so that both keep out of each other's way. */
const prismaLock = 72707369;
const connectTimeoutMs = 5_000;

const projectMigrations = fileURLToPath(new URL("../../../prisma/migrations/", import.meta.url));

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

/**
 * Applies what is new in `prisma/migrations`, as `prisma migrate deploy` would and with the same bookkeeping, but without
 * its engine. Several processes may call it at once: one applies, the others wait and find nothing to do. Migrations that
 * the database knows and this version does not are left alone, so that an older process can start beside a newer one.
 *
 * @returns the names of the migrations that were applied
 * @throws MigrationError  @throws StoreUnavailableError
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
  // A lost connection also rejects the query under way, which is where it is handled.
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

/** Holds the lock until the connection ends. */
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
      "was begun before and did not finish. Repair the database, then mark it with `prisma migrate resolve`.",
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

/** The statements of a file run as one transaction; what went wrong is kept with the migration, as Prisma does. */
async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  const id = randomUUID();
  await client.query("INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ($1, $2, $3)", [
    id,
    checksum,
    name,
  ]);
  try {
    await client.query(sql);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await client.query("UPDATE _prisma_migrations SET logs = $2 WHERE id = $1", [id, message]);
    throw new MigrationError(name, `does not apply: ${message}`, error);
  }
  await client.query(
    "UPDATE _prisma_migrations SET finished_at = now(), applied_steps_count = 1 WHERE id = $1",
    [id],
  );
}
