import { mkdtemp, cp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createTestDatabase, startTcpProxy, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { awaitSchema, migrate } from "../src/index.ts";

let database: TestDatabase;
let stopping: AbortController;

beforeEach(async () => {
  database = await createTestDatabase();
  stopping = new AbortController();
}, 180_000);

afterEach(async () => {
  await database.drop();
});

const project = fileURLToPath(new URL("../../../prisma/migrations/", import.meta.url));

async function execute(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

describe("a process whose database lacks migrations", () => {
  test("says so once, names the command, and goes on when the migrations have been applied", async () => {
    const said: string[] = [];
    let hasSaid: () => void;
    const saying = new Promise<void>((resolve) => (hasSaid = resolve));
    const ready = awaitSchema({
      databaseUrl: database.url,
      signal: stopping.signal,
      onWaiting: (message) => {
        said.push(message);
        hasSaid();
      },
    });
    await saying;
    await migrate({ databaseUrl: database.url });
    await ready;
    expect(said).toEqual([
      expect.stringMatching(/lacks the migration \d+_first and \d+ more.*npm run migrate/),
    ]);
  });

  test("does not say so again while migrations are applied one after the other", async () => {
    const network = await startTcpProxy({ targetUrl: database.url });
    const queried = (): Promise<void> =>
      new Promise((resolve) => {
        const stop = network.observe(({ data }) => {
          if (!data.includes("schema_support")) return;
          stop();
          resolve();
        });
      });
    const folder = await mkdtemp(join(tmpdir(), "genga-migrations-"));
    const addMigration = async (project: string, name: string): Promise<void> => {
      await mkdir(join(folder, project, name), { recursive: true });
      await writeFile(join(folder, project, name, "migration.sql"), `CREATE TABLE "${name}" ()`);
    };
    try {
      for (const name of ["1_one", "2_other"]) await addMigration("whole", name);
      await addMigration("begun", "1_one");
      const said: string[] = [];
      const onWaiting = (message: string): unknown => said.push(message);
      const { signal } = stopping;
      const first = queried();
      const ready = awaitSchema({
        databaseUrl: network.url,
        signal,
        folder: join(folder, "whole"),
        onWaiting,
      });
      await first;
      await migrate({ databaseUrl: database.url, folder: join(folder, "begun") });
      // Waits for two queries: the first may have begun before the migration, the second finds half of the migrations.
      for (let queries = 0; queries < 2; queries += 1) await queried();
      await migrate({ databaseUrl: database.url, folder: join(folder, "whole") });
      await ready;
      expect(said).toEqual([expect.stringContaining("lacks the migration 1_one and 1 more")]);
    } finally {
      await network.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("waits for the newest migration of its own version", async () => {
    await migrate({ databaseUrl: database.url });
    const folder = await mkdtemp(join(tmpdir(), "genga-migrations-"));
    try {
      await cp(project, folder, { recursive: true });
      await mkdir(join(folder, "29990101000000_later"));
      await writeFile(join(folder, "29990101000000_later", "migration.sql"), "SELECT 1");
      let reason = "";
      const waiting = awaitSchema({
        ...{ databaseUrl: database.url, signal: stopping.signal, folder },
        onWaiting: (message) => {
          reason = message;
          stopping.abort(new Error("stopped"));
        },
      });
      await expect(waiting).rejects.toThrow("stopped");
      expect(reason).toContain("29990101000000_later.");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("waits for PostgreSQL as well", async () => {
    const waiting = awaitSchema({
      databaseUrl: "postgresql://nobody@127.0.0.1:1/none",
      signal: stopping.signal,
      onWaiting: (message) => {
        stopping.abort(new Error(message));
      },
    });
    await expect(waiting).rejects.toThrow("Waiting for PostgreSQL.");
  });
});

describe("a process whose database is newer", () => {
  const neverWaits = (message: string): never => {
    throw new Error(message);
  };

  test("goes on beside later migrations, which only add", async () => {
    await migrate({ databaseUrl: database.url });
    await execute(`INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at)
      VALUES ('later', 'x', '29990101000000_later', now())`);
    const { signal } = stopping;
    await expect(
      awaitSchema({ databaseUrl: database.url, signal, onWaiting: neverWaits }),
    ).resolves.toBeUndefined();
  });

  test("stops when the database says that this version cannot live with it", async () => {
    await migrate({ databaseUrl: database.url });
    await execute("UPDATE schema_support SET lowest_code_version = 1000");
    const { signal } = stopping;
    await expect(
      awaitSchema({ databaseUrl: database.url, signal, onWaiting: neverWaits }),
    ).rejects.toMatchObject({
      code: "schema-too-new",
      message: expect.stringContaining("code version 1000 or later"),
    });
  });
});
