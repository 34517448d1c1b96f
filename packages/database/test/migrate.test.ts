import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { migrate } from "@genga/database";
import { createTestDatabase, launcher, startTcpProxy, type TestDatabase } from "@genga/testing";

const projectMigrations = fileURLToPath(new URL("../../../prisma/migrations", import.meta.url));

let database: TestDatabase;
let folder: string;
let client: pg.Client;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-migrations-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  database = await createTestDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
});
afterEach(async () => {
  await client.end();
  await database.drop();
});

/** A folder with these migrations, by name. */
async function projectOf(migrations: Record<string, string>): Promise<string> {
  const project = await mkdtemp(join(folder, "project-"));
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(join(project, name));
    await writeFile(join(project, name, "migration.sql"), sql);
  }
  return project;
}

async function recorded(): Promise<unknown[]> {
  const { rows } = await client.query<Record<string, unknown>>(`
    SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS finished, applied_steps_count AS steps, logs
    FROM _prisma_migrations ORDER BY started_at`);
  return rows;
}

async function namesIn(migrations: string): Promise<string[]> {
  const entries = await readdir(migrations, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** How many connections wait for the lock of migrations. */
async function waitingForLock(): Promise<number> {
  const { rowCount } = await client.query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`);
  return rowCount ?? 0;
}

/** How many connections wait for a lock on this table. */
async function waitingFor(observer: pg.Client, table: string): Promise<number> {
  const waiting = "SELECT 1 FROM pg_locks WHERE relation = $1::regclass AND NOT granted";
  return (await observer.query(waiting, [table])).rowCount ?? 0;
}

const program = fileURLToPath(new URL("../src/migrations/migrate-main.ts", import.meta.url));
const environment = (url: string): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  HOME: process.env["HOME"],
  DATABASE_URL: url,
});

/** Runs `npm run migrate` in a process of its own; returns what it printed. */
async function migrateInProcess(): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [launcher, program], {
    env: environment(database.url),
  });
  return stdout.trim();
}

const ready = "CREATE TABLE ready (id int)";

describe("Migrating", () => {
  test("migrates an empty database, and finds nothing to do afterwards", async () => {
    expect(await migrate({ databaseUrl: database.url })).toEqual(await namesIn(projectMigrations));
    expect(await migrate({ databaseUrl: database.url })).toEqual([]);
    expect((await client.query("SELECT 1 FROM jobs")).rowCount).toBe(0);
  });

  test("waits for a PostgreSQL that starts later, and says so once", async () => {
    const proxy = await startTcpProxy({ targetUrl: database.url });
    await proxy.cut();
    const child = spawn(process.execPath, [launcher, program], { env: environment(proxy.url) });
    const ended = once(child, "close");
    try {
      let errors = "";
      child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
      await once(child.stderr, "data");
      await proxy.restore();
      expect((await ended)[0]).toBe(0);
      expect(errors.match(/Waiting for it/g)).toHaveLength(1);
      expect(await recorded()).toHaveLength((await namesIn(projectMigrations)).length);
    } finally {
      child.kill();
      await proxy.close();
    }
  });

  test("happens once when four processes start at once", async () => {
    // The processes find the lock taken, so all four are waiting before the first may begin.
    await client.query("SELECT pg_advisory_lock(72707369)");
    const processes = Array.from({ length: 4 }, () => migrateInProcess());
    while ((await waitingForLock()) < 4) await new Promise(setImmediate);
    await client.query("SELECT pg_advisory_unlock(72707369)");
    const said = await Promise.all(processes);
    expect(said.filter((line) => line === "The database is up to date.")).toHaveLength(3);
    expect(said.filter((line) => /^Applied \d+_\w+/.test(line))).toHaveLength(1);
    const names = await namesIn(projectMigrations);
    expect(await recorded()).toEqual(
      names.map((name) => expect.objectContaining({ name, finished: true }) as unknown),
    );
  });

  test("keeps Prisma's records, so that Prisma's command line agrees", async () => {
    await migrate({ databaseUrl: database.url, folder: await projectOf({ "1_ready": ready }) });
    const checksum = createHash("sha256").update(ready).digest("hex");
    expect(await recorded()).toEqual([{ name: "1_ready", checksum, finished: true, steps: 1, logs: null }]);
  });

  test("reports a migration that does not apply, leaves none of it, and refuses to go on", async () => {
    const project = await projectOf({ "1_ready": ready, "2_broken": "CREATE TABLE half (); SELECT 1 / 0" });
    const failing = migrate({ databaseUrl: database.url, folder: project });
    await expect(failing).rejects.toMatchObject({ code: "migration-failed", migration: "2_broken" });
    await expect(failing).rejects.toThrow("division by zero");
    expect(
      (await client.query("SELECT to_regclass('half') AS half, to_regclass('ready') AS ready")).rows,
    ).toEqual([{ half: null, ready: "ready" }]);
    expect(await recorded()).toMatchObject([
      { name: "1_ready", finished: true },
      { name: "2_broken", finished: false, logs: expect.stringContaining("division by zero") as unknown },
    ]);
    const again = migrate({ databaseUrl: database.url, folder: project });
    await expect(again).rejects.toMatchObject({ code: "migration-failed", migration: "2_broken" });
    await expect(again).rejects.toThrow("did not finish");
  });

  test("gives way to running processes that hold its tables, deadlocks included, and is applied once they let go", async () => {
    await client.query("CREATE TABLE one (id int); CREATE TABLE other (id int)");
    const reader = new pg.Client({ connectionString: database.url });
    await reader.connect();
    try {
      // A transaction of a running process that locks the two tables in the opposite order.
      await client.query("BEGIN");
      await client.query("INSERT INTO other VALUES (1)");
      const project = await projectOf({
        "1_busy": "ALTER TABLE one ADD COLUMN more int; ALTER TABLE other ADD COLUMN more int",
      });
      const migrating = migrate({ databaseUrl: database.url, folder: project });
      while ((await waitingFor(reader, "other")) === 0) await new Promise(setImmediate);
      // Other queries are answered meanwhile, although the migration asked for its lock first and the transaction is
      // still open.
      expect((await reader.query("SELECT FROM other")).rowCount).toBe(0);
      await client.query("INSERT INTO one VALUES (1)");
      await client.query("COMMIT");
      expect(await migrating).toEqual(["1_busy"]);
      expect((await reader.query("SELECT more FROM one")).rowCount).toBe(1);
    } finally {
      await reader.end();
    }
  });

  // Statements that change jobs lock the table twice, first weakly. A migration that keeps them from the second lock, and
  // then wants all of the table, waits for them while they wait for it, again and again on a busy farm.
  test("waits for all of the table of jobs before it holds anything of it", async () => {
    const names = await namesIn(projectMigrations);
    const first = names.indexOf("20261126110200_queued_counts");
    const project = await mkdtemp(join(folder, "project-"));
    const addToProject = (name: string): Promise<void> =>
      cp(join(projectMigrations, name), join(project, name), { recursive: true });
    await Promise.all(names.slice(0, first).map(addToProject));
    await migrate({ databaseUrl: database.url, folder: project });
    for (const name of names.slice(first)) {
      await addToProject(name);
      await client.query("BEGIN; LOCK TABLE jobs IN ROW SHARE MODE");
      const run = { isOver: false };
      const migrating = migrate({ databaseUrl: database.url, folder: project }).finally(() => {
        run.isOver = true;
      });
      let waiting: { held: string }[] = [];
      while (!run.isOver && waiting.length === 0) {
        ({ rows: waiting } = await client.query<{ held: string }>(`
          SELECT (SELECT coalesce(string_agg(held.mode, ', '), 'nothing') FROM pg_locks held
            WHERE held.pid = waiting.pid AND held.relation = waiting.relation AND held.granted) AS held
          FROM pg_locks waiting WHERE waiting.relation = 'jobs'::regclass AND NOT waiting.granted`));
      }
      for (const { held } of waiting) expect({ name, held }).toEqual({ name, held: "nothing" });
      await client.query("COMMIT");
      await migrating;
    }
  }, 180_000);

  test("leaves nothing of a migration whose connection broke, and applies it next time", async () => {
    const project = await projectOf({ "1_cut": "CREATE TABLE half (); SELECT pg_sleep(60)" });
    const cut = migrate({ databaseUrl: database.url, folder: project });
    const terminated = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid() AND state = 'active'`;
    while ((await client.query(terminated)).rowCount === 0) await new Promise(setImmediate);
    await expect(cut).rejects.toMatchObject({ code: "store-unavailable" });
    const whole = await projectOf({ "1_cut": "CREATE TABLE half ()" });
    expect(await migrate({ databaseUrl: database.url, folder: whole })).toEqual(["1_cut"]);
  });

  test("refuses a migration that was edited after it had been applied", async () => {
    await migrate({ databaseUrl: database.url, folder: await projectOf({ "1_ready": ready }) });
    const edited = await projectOf({ "1_ready": `${ready} -- edited` });
    await expect(migrate({ databaseUrl: database.url, folder: edited })).rejects.toThrow("was changed");
  });

  test("leaves migrations of a newer version alone", async () => {
    await migrate({
      databaseUrl: database.url,
      folder: await projectOf({ "1_ready": ready, "2_newer": "CREATE TABLE newer ()" }),
    });
    expect(
      await migrate({ databaseUrl: database.url, folder: await projectOf({ "1_ready": ready }) }),
    ).toEqual([]);
  });

  test("stops waiting for another process when it is told to", async () => {
    await client.query("SELECT pg_advisory_lock(72707369)");
    const stopping = new AbortController();
    const waiting = migrate({ databaseUrl: database.url, signal: stopping.signal });
    while ((await waitingForLock()) === 0) await new Promise(setImmediate);
    stopping.abort(new Error("told to stop"));
    await expect(waiting).rejects.toThrow("told to stop");
  });

  test("says that the database is away", async () => {
    const proxy = await startTcpProxy({ targetUrl: database.url });
    await proxy.close();
    await expect(migrate({ databaseUrl: proxy.url })).rejects.toMatchObject({ code: "store-unavailable" });
  });
});

test("copies of API_KEYS that an earlier version made are gone with the migration", async () => {
  const before = await mkdtemp(join(folder, "before-keys-"));
  const names = (await namesIn(projectMigrations)).filter((name) => name < "20261125190000_keys");
  for (const name of names) await cp(join(projectMigrations, name), join(before, name), { recursive: true });
  await migrate({ databaseUrl: database.url, folder: before });
  await client.query("INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), 'studio')");
  await client.query(`INSERT INTO api_keys (id, tenant_id, key_hash)
    SELECT gen_random_uuid(), id, sha256('a-key-of-studio') FROM tenants WHERE name = 'studio'`);
  await migrate({ databaseUrl: database.url });
  expect((await client.query("SELECT FROM api_keys")).rowCount).toBe(0);
});
