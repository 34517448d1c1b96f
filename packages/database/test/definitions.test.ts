import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createTestDatabase, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { migrate, openDatabase, type Database } from "../src/index.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  database = openDatabase({ databaseUrl: testDatabase.url });
}, 180_000);

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("a server gets definitions even if they are being removed at that moment", async () => {
  const { servers } = database;
  const [record] = await servers.registerServers([{ url: "http://127.0.0.1:1", slots: 2 }]);
  const [lease] = await servers.acquireServers("worker", [record!.id], 1, 60_000);
  const save = (hash: string): Promise<boolean> =>
    servers.saveDefinitions(lease!, { hash, objectInfo: { of: hash }, replacements: null });
  await save("first");
  await save("second");

  const remover = new pg.Client({ connectionString: testDatabase.url });
  await remover.connect();
  await remover.query("BEGIN");
  await remover.query("DELETE FROM node_definitions WHERE hash = 'first'");
  const saved = save("first");
  await untilSomebodyWaits(remover);
  await remover.query("COMMIT");
  await remover.end();
  expect(await saved).toBe(true);
  expect(await servers.findDefinitions("first")).toEqual({ objectInfo: { of: "first" }, replacements: null });
});

test("definitions that were named a moment ago are not removed by a statement that began before", async () => {
  const { servers } = database;
  const [record] = await servers.registerServers([{ url: "http://127.0.0.1:2", slots: 2 }]);
  const [lease] = await servers.acquireServers("worker", [record!.id], 1, 60_000);
  const client = new pg.Client({ connectionString: testDatabase.url });
  await client.connect();
  await client.query(
    "INSERT INTO node_definitions (hash, object_info, last_named_at) VALUES ('third', '{}', now() - interval '1 hour')",
  );
  await client.query("BEGIN");
  await client.query("UPDATE node_definitions SET last_named_at = now() WHERE hash = 'third'");
  const removed = servers.removeUnusedDefinitions(60_000);
  await client.query("UPDATE servers SET definitions_hash = 'third' WHERE id = $1", [lease!.serverId]);
  await client.query("COMMIT");
  await client.end();
  expect(await removed).toBe(0);
  expect(await servers.findDefinitions("third")).not.toBeNull();
});

async function untilSomebodyWaits(client: pg.Client): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query("SELECT FROM pg_locks WHERE NOT granted");
    if (rowCount !== null && rowCount > 0) return;
  }
}
